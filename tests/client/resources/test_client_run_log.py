"""Logs of runs: which file is the user's, its end, and its lines while it grows."""

from __future__ import annotations

import pytest
from client_support import REGION, regional

from airflow_azml.client.lifecycle import Target
from airflow_azml.client.resources.run_log import PIECE, stream_log
from airflow_azml.client.transport import errors

HISTORY = regional("history/v1.0")


SAS = "https://sa.blob.core.windows.net/c/log?sig=s1"


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["user_logs/std_log.txt", "system_logs/x.txt", "azureml-logs/70_driver_log.txt"], "user_logs/std_log.txt"),
        (["azureml-logs/55_azureml.txt", "azureml-logs/70_driver_log.txt"], "azureml-logs/70_driver_log.txt"),
        (["user_logs/std_log_process_00.txt", "user_logs/std_log_process_01.txt"], "user_logs/std_log_process_00.txt"),
        (["logs/azureml/executionlogs.txt"], "logs/azureml/executionlogs.txt"),
        (["system_logs/x.txt"], None),
        ([], None),
    ],
)
def test_which_log_is_the_users(files, chosen):
    """The user's own output is found among the log files of every runtime."""
    assert stream_log(files) == chosen


def test_a_refused_sas_is_not_blamed_on_the_service_principal(client, requests_mock):
    """A 403 of blob storage says nothing about roles."""
    requests_mock.get(SAS, status_code=403, headers={"x-ms-error-code": "AuthenticationFailed"})
    with pytest.raises(errors.PermissionDeniedError, match=r"AuthenticationFailed$"):
        client.logs.read_file(SAS)


def test_the_tail_of_the_log(client, requests_mock, secrets):
    """Size first, then only the end; no bearer; the signature is reported as secret."""
    requests_mock.get(f"{HISTORY}/runs/r1/details", json={"logFiles": {"user_logs/std_log.txt": SAS}})
    requests_mock.head(SAS, headers={"Content-Length": "200000"})
    requests_mock.get(SAS, status_code=206, content=b"half a line\nlast but one\nlast \xc3\xa9\n")
    assert client.logs.tail("r1", 5) == ["last but one", "last é"]
    assert requests_mock.last_request.headers["Range"].startswith(f"bytes={200000 - 65536}-")
    assert "Authorization" not in requests_mock.last_request.headers
    assert "s1" in secrets


def test_logs_that_are_not_there_yet(client, requests_mock):
    """No details, no file, no blob: an empty log."""
    requests_mock.get(f"{HISTORY}/runs/r1/details", [{"status_code": 404}, {"json": {"logFiles": None}}])
    assert client.logs.files("r1") == {}
    assert client.logs.tail("r1") == []
    requests_mock.get(SAS, [{"status_code": 404}, {"status_code": 416}])
    assert client.logs.read_file(SAS) == client.logs.read_file(SAS, 10) == b""


def test_reading_a_log_from_where_we_were(client, requests_mock):
    """A range is asked for; a store that ignores it gives the same bytes."""
    requests_mock.get(SAS, [{"status_code": 206, "content": b"world"}, {"status_code": 200, "content": b"hello world"}])
    assert client.logs.read_file(SAS, 6, limit=5) == b"world"
    assert requests_mock.last_request.headers["Range"] == "bytes=6-10"
    assert client.logs.read_file(SAS, 6, limit=5) == b"world"


RUN = Target("runs", "r1")


STD_LOG = "user_logs/std_log.txt"


class Blob:
    """A log that grows, behind a signature that may expire."""

    def __init__(self, requests_mock, signature="one"):
        self.content, self.valid, self.asked = b"", signature, []
        self.files = {STD_LOG: self.url(signature)}
        requests_mock.get(f"{HISTORY}/runs/r1/details", json=self._details)
        requests_mock.get(f"{REGION}/blob/{STD_LOG}", content=self._read)

    @staticmethod
    def url(signature, name=STD_LOG):
        return f"{REGION}/blob/{name}?sig={signature}signature"

    def _details(self, _request, _context):
        return {"logFiles": self.files}

    def _read(self, request, context):
        self.asked.append(request.headers["Range"])
        if request.qs["sig"] != [f"{self.valid}signature"]:
            context.status_code = 403
            return b"<Error><Code>AuthenticationFailed</Code><Message>Signature not valid</Message></Error>"
        first, last = map(int, request.headers["Range"].removeprefix("bytes=").split("-"))
        part = self.content[first : last + 1]
        context.status_code = 206 if part else 416
        return part


@pytest.fixture
def blob(requests_mock):
    return Blob(requests_mock)


def test_each_line_is_told_once_and_only_when_it_is_whole(client, blob):
    """What is printed in pieces is a line when its end has come; at the end of the run the rest is one too."""
    follower, told = client.logs.follow(RUN), []
    for piece in (b"", b"one\ntw", b"o\nthree", b" and more", b"", b"\n\nlast"):
        blob.content += piece
        told.append(follower.read())
    assert told == [[], ["one"], ["two"], [], [], ["three and more", ""]]
    assert list(follower.rest()) == ["last"]
    assert list(follower.rest()) == []


def test_the_position_outlives_the_process(client, blob):
    """Who goes on from the position tells what the former has not told, and nothing else."""
    blob.content = b"one\ntwo\nthr"
    first = client.logs.follow(RUN)
    first.read()
    blob.content += b"ee\n"
    assert list(client.logs.follow(RUN, first.position).rest()) == ["three"]


def test_a_progress_bar_is_told_by_its_last_word(client, blob):
    """Tqdm and its like overwrite their line a hundred times a second."""
    blob.content = b"\r 10%\r 50%\r100%\nwindows\r\n"
    assert client.logs.follow(RUN).read() == ["100%", "windows"]


def test_a_flood_is_read_in_pieces_and_nothing_of_it_is_lost(client, blob):
    """One look reads 64 KiB at most; a line that is longer is cut, for no end may ever come."""
    lines = [f"line {number} ".ljust(100, "x") for number in range(2000)]
    blob.content = "\n".join([*lines, "y" * (PIECE + 10), "end"]).encode()
    follower = client.logs.follow(RUN)
    told = follower.read()
    assert len(told) == PIECE // 101
    told += follower.rest()
    assert told[:2000] == lines
    assert "".join(told[2000:]) == "y" * (PIECE + 10) + "end"


def test_an_expired_signature_is_renewed(client, blob):
    """The log's address is signed for some hours: a longer run gets a new one, and no line is lost."""
    blob.content = b"one\n"
    follower = client.logs.follow(RUN)
    assert follower.read() == ["one"]
    blob.content += b"two\n"
    blob.valid = "two"
    blob.files = {STD_LOG: blob.url("two")}
    assert follower.read() == ["two"]


def test_a_storage_that_refuses_is_said_once_and_not_asked_again(client, blob, caplog):
    """A firewall before the storage account must not fail the wait, fill the log, or cost a request each look."""
    blob.valid = "nobody's"
    follower = client.logs.follow(RUN)
    assert [follower.read(), follower.read(), list(follower.rest())] == [[], [], []]
    assert len(blob.asked) == 2
    (said,) = [record.message for record in caplog.records if "cannot be shown" in record.message]
    assert said.startswith("run r1: its log cannot be shown here, from byte 0 on: read log failed (HTTP 403)")


def test_an_outage_only_delays_the_lines(client, blob, requests_mock):
    """A look without an answer tells nothing; the next one goes on where the last had stopped."""
    follower = client.logs.follow(RUN)
    requests_mock.get(f"{HISTORY}/runs/r1/details", status_code=503)
    assert follower.read() == []
    requests_mock.get(f"{HISTORY}/runs/r1/details", json={"logFiles": blob.files})
    blob.content = b"one\n"
    assert follower.read() == ["one"]


def test_what_the_script_prints_replaces_the_log_of_building_its_environment(client, blob, requests_mock):
    """Until the script's own log appears the building's is there; the script's is told from its beginning."""
    building = "azureml-logs/20_image_build_log.txt"
    requests_mock.get(f"{REGION}/blob/{building}", content=b"step 1\nstep 2\n", status_code=206)
    blob.files = {building: blob.url("one", building)}
    follower = client.logs.follow(RUN)
    assert follower.read() == ["step 1", "step 2"]
    blob.files, blob.content = {building: blob.url("one", building), STD_LOG: blob.url("one")}, b"hello\n"
    assert follower.read() == ["hello"]


def test_a_rest_that_cannot_be_read_is_said_to_be_missing(client, blob, requests_mock, caplog):
    """What nobody will show any more must not be lost without a word."""
    blob.content = b"one\ntwo\n"
    follower = client.logs.follow(RUN)
    assert follower.read() == ["one", "two"]
    requests_mock.get(f"{REGION}/blob/{STD_LOG}", status_code=503)
    assert list(follower.rest()) == []
    assert "run r1: its log cannot be shown here, from byte 8 on: read log failed (HTTP 503)" in caplog.text


def test_a_log_that_is_not_listed_for_a_moment_does_not_begin_anew(client, blob):
    """The service's list of files may lag behind."""
    blob.content = b"one\n"
    first = client.logs.follow(RUN)
    first.read()
    files, blob.files = blob.files, {}
    second = client.logs.follow(RUN, first.position)
    assert second.read() == []
    blob.files = files
    blob.content += b"two\n"
    assert second.read() == ["two"]


def test_a_long_line_is_cut_between_characters(client, blob):
    """Half a character is no text."""
    blob.content = ("x" + "\u00e9" * PIECE).encode() + b"\n"
    told = list(client.logs.follow(RUN).rest())
    assert "".join(told) == "x" + "\u00e9" * PIECE
