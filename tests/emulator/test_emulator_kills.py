"""Steps that a SIGKILL cuts in two: each one is cut here at its worst place. `make crashes` looks for further ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from emulator_process import wait_until
from in_process import running
from runs_support import alive

from airflow_azml.emulator.computes import specs
from airflow_azml.emulator.control.crash import VARIABLE, Crash
from airflow_azml.emulator.endpoints.fleet import Fleet
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.kernel.state import StateError
from airflow_azml.emulator.kernel.store import Store
from airflow_azml.emulator.process import groups
from airflow_azml.emulator.process.groups import ProcessGroup
from airflow_azml.emulator.process.venvs import VenvCache
from airflow_azml.emulator.process.wrapper import birth_of
from airflow_azml.emulator.runs import definitions
from airflow_azml.emulator.storage.blobs import BlobStore

SCALE = {"minNodeCount": 1, "maxNodeCount": 1}
COMPUTE = {"properties": {"computeType": "AmlCompute", "properties": {"vmSize": "STANDARD_D1", "scaleSettings": SCALE}}}
RUN = {"command": "sleep 3", "target": "cpu", "environment": {"python": {"userManagedDependencies": True}}}
BUILDER = """
import sys
from pathlib import Path
from airflow_azml.emulator.process.conda import Requirements
from airflow_azml.emulator.process.venvs import VenvCache
VenvCache(Path(sys.argv[1])).ensure(Requirements((sys.argv[2],)), lambda _: None)
"""
SLOW = """
import os, time
with open(os.environ["NOTED"], "w") as file:
    file.write(str(os.getpid()))
time.sleep(600)
"""


WRITER = """
import sys
from pathlib import Path
from airflow_azml.emulator.control.crash import Crash
from airflow_azml.emulator.kernel.store import Store
store = Store(Path(sys.argv[1]), Crash())
for number in "1234":
    store.put("thing", number, {})
"""


@pytest.mark.parametrize(("moment", "kept"), [("before:3", 2), ("after:3", 3), ("", 4)])
def test_a_kill_strikes_at_the_commit_that_is_asked_for(tmp_path, moment, kept):
    """Before the commit, its change is lost; after it, its change is there; nothing later was done."""
    file = tmp_path / "store.sqlite"
    ended = subprocess.run([sys.executable, "-c", WRITER, str(file)], env={**os.environ, VARIABLE: moment}, check=False)
    assert ended.returncode == (-signal.SIGKILL if moment else 0)
    store = Store(file)
    assert len(store.all("thing")) == kept
    store.close()


@pytest.mark.parametrize("moment", ["before", "after:0", "during:3", "before:x"])
def test_a_commit_that_cannot_be_named_so_is_refused(monkeypatch, moment):
    """A mistyped variable is an error of one line: without it nothing would ever be killed."""
    monkeypatch.setenv(VARIABLE, moment)
    with pytest.raises(StateError, match=rf"^{VARIABLE}={moment} names no commit: write before:N or after:N"):
        Crash()


class Killed(BaseException):
    """What ends a step as a SIGKILL does: nothing of ours catches it."""


@pytest.fixture
def blobs(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    yield BlobStore(tmp_path / "blobs", store)
    store.close()


def cut(step, *, done):
    """Kill before a step or after it."""

    def call(*args, **options):
        if done:
            step(*args, **options)
        raise Killed

    return call


ONE, TWO = (b"one", "of one", {"mark": "1"}), (b"two", "of two", {"mark": "2"})


@pytest.mark.parametrize("former", [None, ONE])
@pytest.mark.parametrize("done", [False, True])
def test_a_blob_whose_writing_was_cut_is_all_old_or_all_new(blobs, monkeypatch, former, done):
    """Killed before its file is in its place or right after: content, MD5 and metadata are of one write."""

    def write(content, md5, metadata):
        with blobs.upload() as file:
            file.write_bytes(content)
            blobs.commit(file, facts.ARTIFACT_CONTAINER, "a", contentMd5=md5, metadata=metadata)

    if former:
        write(*former)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", cut(Path.replace, done=done))
        with pytest.raises(Killed):
            write(*TWO)
    found = blobs.find(facts.ARTIFACT_CONTAINER, "a")
    seen = found and (found.path.read_bytes(), found.content_md5, found.metadata)
    assert seen == (TWO if done else former)


@pytest.mark.parametrize("done", [False, True])
def test_properties_of_a_blob_change_together_with_its_etag(blobs, monkeypatch, done):
    """Killed before the ETag has changed or right after: whoever sees the old one sees the old metadata."""
    etag = blobs.write(facts.ARTIFACT_CONTAINER, "a", b"one").etag
    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", cut(os.utime, done=done))
        with pytest.raises(Killed):
            blobs.set_properties(facts.ARTIFACT_CONTAINER, "a", metadata={"mark": "2"})
    found = blobs.find(facts.ARTIFACT_CONTAINER, "a")
    assert (found.etag != etag, found.metadata) == (done, {"mark": "2"} if done else {})


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # it stands for the kill
def test_a_run_that_was_started_is_running_after_a_kill(tmp_path, monkeypatch):
    """Killed between the start of the command and the note of it: the next emulator says that the run is Running."""
    with running(tmp_path) as site, monkeypatch.context() as patch:
        advance = site.emulator.runs.advance
        patch.setattr(
            site.emulator.runs, "advance",
            lambda run_id, status, **more: sys.exit() if status == "Running" else advance(run_id, status, **more),
        )  # fmt: skip
        site.emulator.computes.put("cpu", specs.read("cpu", COMPUTE))
        site.emulator.executor.submit("exp", "r1", RUN, definitions.read(RUN, "r1"), None)
        wait_until((tmp_path / "runs" / "r1" / "1.pid").exists)
        assert site.emulator.runs.get("r1")["status"] == "Preparing"
    with running(tmp_path) as site:
        wait_until(lambda: site.emulator.runs.get("r1")["status"] in {"Running", "Completed", "Failed"})
        assert site.emulator.runs.get("r1")["status"] == "Running"
        wait_until(lambda: site.emulator.runs.get("r1")["status"] == "Completed")


def test_a_compute_may_go_while_an_emulator_starts(tmp_path, monkeypatch):
    """A deletion that ends while the nodes of killed runs are taken back does not keep the emulator from starting."""
    with running(tmp_path) as site:
        computes, store = site.emulator.computes, site.emulator.store
        computes.put("cpu", specs.read("cpu", COMPUTE))
        listed = computes.list

        def list_while_one_goes():
            found = listed()
            going = threading.Thread(target=store.delete, args=("compute", "cpu"))
            going.start()
            going.join(0.3)
            return found

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(computes, "list", list_while_one_goes)
            computes.reconcile(set())
        wait_until(lambda: computes.find("cpu") is None)


def test_a_leader_that_replaces_its_children_ends(tmp_path, monkeypatch):
    """A process that starts a new child as soon as one dies, as gunicorn does, is ended with all of them."""
    monkeypatch.setattr(groups, "PATIENCE", 3)
    mark = str(tmp_path)
    environment = {**os.environ, groups.MARK: mark}
    command = ["/bin/sh", "-c", "while true; do sleep 600; done"]
    with subprocess.Popen(command, env=environment, start_new_session=True) as leader:
        group = ProcessGroup(leader.pid, birth_of(leader.pid), mark)
        wait_until(group._descendants)
        group.end()
        ended = not alive(leader.pid)
        leader.kill()
    assert ended
    assert not group._descendants()


def test_a_serving_process_of_which_no_file_tells_is_ended(tmp_path):
    """At the start no process of a former emulator serves on, not even one whose folder has gone."""
    environment = {**os.environ, groups.MARK: f"{tmp_path}/endpoint/blue/1/x"}
    with subprocess.Popen(["/bin/sh", "-c", "while true; do sleep 600; done"], env=environment) as leftover:
        Fleet(None, tmp_path).start(set())
        ended = not alive(leftover.pid)
        leftover.kill()
    assert ended


def test_a_build_that_was_cut_is_removed_and_its_builder_ended(tmp_path, monkeypatch):
    """At the next start the installer of a killed emulator ends and its files go; what others have or build stays."""
    root, noted = tmp_path / "environments", tmp_path / "pid"
    package = tmp_path / "slow"
    package.mkdir()
    (package / "setup.py").write_text(SLOW)
    monkeypatch.setenv("NOTED", str(noted))
    (root / "done-1").mkdir(parents=True)
    (root / "done").symlink_to("done-1")
    emulator = subprocess.Popen([sys.executable, "-c", BUILDER, str(root), str(package)])
    wait_until(lambda: noted.exists() and noted.read_text(), 120)
    (root / "cut-2.link").symlink_to("cut-2")  # a link that did not come to its place
    before = {path.name for path in root.iterdir()}
    VenvCache(root).start()
    assert {path.name for path in root.iterdir()} == before - {"cut-2.link"} | {"cut.lock", "done.lock"}
    assert alive(int(noted.read_text()))
    emulator.send_signal(signal.SIGKILL)
    emulator.wait()
    assert alive(int(noted.read_text()))
    VenvCache(root).start()
    assert not alive(int(noted.read_text()))
    assert {path.name for path in root.iterdir() if path.suffix != ".lock"} == {"done", "done-1"}
