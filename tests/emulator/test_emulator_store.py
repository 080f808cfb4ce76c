"""The kernel: what is written together stands or falls together; what cannot be read says so or is set aside."""

from __future__ import annotations

import json
import logging
import sqlite3
import stat
import subprocess
import sys
import threading
from typing import TypedDict

import pytest
from emulator_process import free_port

from airflow_azml.emulator.kernel.operations import Failure, Operations
from airflow_azml.emulator.kernel.schema import MIGRATIONS
from airflow_azml.emulator.kernel.state import StateError, write_whole
from airflow_azml.emulator.kernel.store import AbsentError, Store
from airflow_azml.emulator.kernel.ticker import Ticker


class Thing(TypedDict):
    name: str
    nodes: list[int]


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store.sqlite")
    yield store
    store.close()


def elsewhere(store, kind, key):
    """What another process would find now."""
    path = store._database.execute("PRAGMA database_list").fetchone()[2]
    with sqlite3.connect(path) as other:
        row = other.execute("SELECT body FROM documents WHERE kind=? AND key=?", (kind, key)).fetchone()
    return json.loads(row[0]) if row else None


def test_a_transaction_is_seen_as_a_whole(store):
    """Nobody sees the first write of a transaction before the last one is there."""
    with store.transaction():
        store.put("a", "1", {"n": 1})
        with store.change("a", "1") as document:
            document["n"] = 2
        store.add("b", "1", {})
        store.next_number("c")
        assert (elsewhere(store, "a", "1"), elsewhere(store, "b", "1")) == (None, None)
    assert (elsewhere(store, "a", "1"), elsewhere(store, "b", "1")) == ({"n": 2}, {})


def test_an_exception_undoes_all_of_a_transaction(store):
    """After it, documents, deletions and numbers are as before."""
    store.put("a", "kept", {"n": 1})

    def fail():
        with store.transaction():
            store.delete("a", "kept")
            store.put("a", "new", {})
            store.next_number("c")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (store.get("a", "kept"), store.get("a", "new"), store.next_number("c")) == ({"n": 1}, None, 1)


def test_a_transaction_keeps_other_threads_out(store):
    """A thread that reads meanwhile waits, and then sees the outcome."""
    seen = []
    reader = threading.Thread(target=lambda: seen.append(store.get("a", "1")))
    with store.transaction():
        store.put("a", "1", {"n": 1})
        reader.start()
        reader.join(0.2)
        assert seen == []
        store.put("a", "1", {"n": 2})
    reader.join()
    assert seen == [{"n": 2}]


def test_what_is_absent_can_be_put_or_changed(store):
    """An empty document is handed out for filling; one that stays empty is not made, and `change` refuses it."""
    with store.put_or_change("a", "1") as document:
        assert document == {}
    assert store.get("a", "1") is None
    with store.put_or_change("a", "1") as document:
        document["n"] = 1
    with store.put_or_change("a", "1") as document:
        assert document == {"n": 1}
    store.put("a", "empty", {})
    with store.change("a", "empty") as document:
        document["x"] = 1
    assert store.get("a", "empty") == {"x": 1}
    with pytest.raises(AbsentError), store.change("a", "2"):
        pass


def test_commits_are_told_of_only_when_they_change_something(tmp_path):
    """The hook hears of both moments of a commit, of none for reading or for a change that changes nothing."""
    moments = []
    store = Store(tmp_path / "store.sqlite", moments.append)
    store.put("a", "1", {"n": 1})
    assert moments == ["before", "after"]
    with store.change("a", "1"):
        pass
    with store.transaction():
        store.get("a", "1")
    assert moments == ["before", "after"]
    store.close()


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be looked at" * 20, b"\0" * 5000])
def test_a_file_that_is_no_store_is_named(tmp_path, content):
    """Garbage is a StateError of one line that says what to do."""
    path = tmp_path / "store.sqlite"
    path.write_bytes(content)
    with pytest.raises(StateError, match=rf"^{path} cannot be read .* --data, or remove this one") as error:
        Store(path)
    assert "\n" not in str(error.value)


def test_a_store_whose_pages_are_damaged_is_refused(tmp_path):
    """A file that was overwritten in its middle is found out when it is opened."""
    path = tmp_path / "store.sqlite"
    store = Store(path)
    for number in range(500):
        store.put("a", str(number), {"text": "x" * 200})
    store.close()
    with path.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * 30_000)
    with pytest.raises(StateError, match="cannot be read"):
        Store(path)


def test_a_store_of_a_newer_emulator_is_refused(tmp_path, store):
    """Its version is named, with the one that this emulator knows."""
    store._database.execute(f"PRAGMA user_version={len(MIGRATIONS) + 7}")
    with pytest.raises(StateError, match=f"version {len(MIGRATIONS) + 7} of a newer emulator"):
        Store(tmp_path / "store.sqlite")


def test_a_store_of_version_0_is_brought_up(tmp_path):
    """Its operations get the resource that they change, and its changes a list of operations; a bad row is left."""
    old = Store(tmp_path / "store.sqlite")
    old.put("endpoint", "e", {"name": "e", "change": {"operation": "one", "due": 1.0}})
    old.put("compute", "c", {"name": "c", "change": {"operations": ["two"], "due": 1.0}})
    for name in ("one", "two"):
        old.put("operation", name, {"id": name, "status": "InProgress", "began": 1.0})
    old._database.execute("INSERT INTO documents VALUES ('endpoint', 'broken', '{')")
    old._database.execute("PRAGMA user_version=0")
    old.close()
    store = Store(tmp_path / "store.sqlite")
    assert store.get("endpoint", "e")["change"] == {"operations": ["one"], "due": 1.0}
    assert [(each["kind"], each["key"]) for each in store.all("operation")] == [("endpoint", "e"), ("compute", "c")]
    store.close()


def test_incomplete_documents_are_set_aside(store, caplog):
    """A row without a member, with one of another type, or without JSON is logged once, kept, and in nobody's way."""
    store.put("thing", "good", {"name": "good", "nodes": [], "more": 1})
    store.put("thing", "less", {"name": "less"})
    store.put("thing", "other", {"name": "other", "nodes": "none"})
    store._database.execute("INSERT INTO documents VALUES ('thing', 'broken', '{')")
    with caplog.at_level(logging.WARNING):
        store.set_aside({"thing": Thing})
        store.set_aside({"thing": Thing})
    assert [each["name"] for each in store.all("thing")] == ["good"]
    assert store.get("incomplete thing", "less") == {"name": "less"}
    assert [record.getMessage().split(" is set aside")[0] for record in caplog.records] == [
        "thing 'broken'", "thing 'less'", "thing 'other'",
    ]  # fmt: skip
    assert "`nodes`" in caplog.records[1].getMessage()


# Operations.


def test_an_operation_is_begun_only_in_the_transaction_of_its_resource(store):
    """Outside of one, an emulator that is killed could leave an operation that nothing will ever end."""
    with pytest.raises(RuntimeError, match="transaction"):
        Operations(store).begin("thing", "t", {}, 1)
    assert store.all("operation") == []


def test_a_change_that_was_superseded_finishes_nothing(store):
    """Its operation is Canceled at once, and whoever worked on it cannot end the one that came after."""
    operations = Operations(store)
    with store.put_or_change("thing", "t") as thing:
        first = operations.begin("thing", "t", thing, 60)
        overtaken = dict(thing["change"])
        second = operations.begin("thing", "t", thing, 60)
    assert [operations.get(each)["status"] for each in (first, second)] == ["Canceled", "InProgress"]
    assert not operations.finish("thing", "t", overtaken, None)
    assert store.get("thing", "t")["change"]["operations"] == [second]


def test_operations_that_join_end_together(store):
    """The failure of a change is that of each of its operations; a deletion takes the resource with it."""
    operations = Operations(store)
    with store.put_or_change("thing", "t") as thing:
        begun = [operations.begin("thing", "t", thing, 60, joins=True) for _ in range(2)]
    assert operations.finish("thing", "t", thing["change"], None, Failure("Code", "why"))
    assert store.get("thing", "t") is None
    assert [operations.get(each)["error"]["code"] for each in begun] == ["Code", "Code"]
    assert not operations.finish("thing", "t", thing["change"], None)


def test_operations_without_a_resource_are_ended(store):
    """What an emulator of an older version left is Canceled at the start; what is under way goes on."""
    operations = Operations(store)
    with store.put_or_change("thing", "t") as thing:
        alive = operations.begin("thing", "t", thing, 60)
    store.put("operation", "old", {"id": "old", "status": "InProgress", "began": 1.0})
    store.put("operation", "ended", {"id": "ended", "status": "Succeeded", "began": 1.0})
    operations.reconcile()
    statuses = {each["id"]: each["status"] for each in store.all("operation")}
    assert statuses == {alive: "InProgress", "old": "Canceled", "ended": "Succeeded"}


def test_operations_that_ended_long_ago_are_swept(store):
    """A day after its end an operation goes; one that is under way stays however old it is."""
    operations = Operations(store)
    with store.put_or_change("thing", "t") as thing:
        fresh = operations.begin("thing", "t", thing, 60)
        operations.begin("thing", "t", thing, 60)
    store.put("operation", "old", {"id": "old", "status": "Succeeded", "began": 1.0, "ended": 2.0})
    store.put("operation", "stuck", {"id": "stuck", "status": "InProgress", "began": 1.0})
    operations.sweep()
    left = {each["id"] for each in store.all("operation")}
    assert left == {"stuck", fresh, thing["change"]["operations"][0]}


# The heartbeat.


def test_one_item_that_fails_freezes_no_other_and_is_logged_once(store, caplog):
    """Each beat reaches every item; the failure is logged when it comes up, again when it changes, not in between."""
    reached, reason = [], ["first"]

    def step(item):
        reached.append(item)
        if item == "bad":
            raise KeyError(reason[0])

    ticker = Ticker(store, 1, lambda: [(item, lambda item=item: step(item)) for item in ("bad", "good")], "engine")
    for _ in range(3):
        ticker.beat()
    reason[0] = "second"
    ticker.beat()
    assert reached == ["bad", "good"] * 4
    said = [record.getMessage() for record in caplog.records]
    assert said == ["engine: a step for 'bad' failed and is tried again"] * 2


# Files.


def test_files_are_written_as_a_whole(tmp_path):
    """A failed write leaves the former content and nothing else; permissions are those that were asked for."""
    path = tmp_path / "file"
    write_whole(path, b"one", 0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(TypeError):
        write_whole(path, "text")
    assert path.read_bytes() == b"one"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("emulator.sqlite", b"garbage " * 200),
        ("signing-key.pem", b""),
        ("client-secret", b"\n"),
        ("ca.pem", b""),
        ("ca-key.pem", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
    ],
)
def test_an_unusable_file_is_one_line_at_the_start(tmp_path, name, content):
    """The emulator says which file it is and what to do, prints no connection, and ends with 1."""
    command = [sys.executable, "-m", "airflow_azml.emulator", "--data", str(tmp_path), "--port", str(free_port())]
    command += ["--tls-port", str(free_port())]
    if name.startswith("ca"):
        (tmp_path / "ca.pem").write_bytes(b"x")
        (tmp_path / "ca-key.pem").write_bytes(b"x")
    (tmp_path / name).write_bytes(content)
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    lines = ended.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert name in lines[0]
    assert "remove" in lines[0]
