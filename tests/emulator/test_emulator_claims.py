"""Starting the emulator: what it has for itself, and how it refuses."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest
from emulator_process import EmulatorProcess, free_port

from airflow_azml.emulator.host.claims import listen


def refused(*options):
    """Start an emulator that cannot start; return its exit code and the last line it says."""
    command = [sys.executable, "-m", "airflow_azml.emulator", *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == ""  # no connection to what is not there
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr.splitlines()[-1]


def test_a_folder_has_one_emulator(fresh_emulator):
    """A second one on the same folder is refused, and the first one goes on."""
    code, said = refused("--port", free_port(), "--data", fresh_emulator.data)
    assert (code, said) == (
        1,
        f"error: {fresh_emulator.data} is in use by another emulator; choose another folder with --data",
    )
    assert fresh_emulator.arm("GET").ok


def test_a_killed_emulator_leaves_its_folder_free(fresh_emulator):
    """The lock goes with the process: another one starts on the folder."""
    fresh_emulator.kill()
    successor = EmulatorProcess(fresh_emulator.data).start()
    try:
        assert successor.arm("GET").ok
    finally:
        successor.stop()


@pytest.mark.parametrize("option", ["--port", "--tls-port"])
def test_a_busy_port_is_named(tmp_path, option):
    """The line says which port is in use and what sets it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ports = {"--port": free_port(), option: listener.getsockname()[1]}
        options = [word for pair in ports.items() for word in pair]
        code, said = refused(*options, "--data", tmp_path / "data")
    assert (code, said) == (
        1,
        f"error: port {ports[option]} of 127.0.0.1 is in use; choose another with {option}",
    )


def test_both_protocols_cannot_share_a_port(tmp_path):
    """HTTPS on the port of plain HTTP is refused."""
    port = free_port()
    code, said = refused("--port", port, "--tls-port", port, "--data", tmp_path / "data")
    assert (code, said) == (1, f"error: port {port} of 127.0.0.1 is in use; choose another with --tls-port")


@pytest.mark.parametrize("port", ["99999", "0", "-1", "http"])
@pytest.mark.parametrize("option", ["--port", "--tls-port"])
def test_what_is_no_port_is_refused(option, port):
    """The command line takes 1 to 65535."""
    code, said = refused(f"{option}={port}")
    assert code == 2
    assert said.endswith(f"argument {option}: '{port}' is not a port: they are 1 to 65535")


def test_its_data_must_be_a_folder(tmp_path):
    """A file instead of a folder is refused."""
    file = tmp_path / "file"
    file.touch()
    code, said = refused("--port", free_port(), "--data", file)
    assert (code, said) == (1, f"error: {file} cannot be the folder of the state: File exists")


@pytest.mark.parametrize(
    ("host", "reason"),
    [("192.0.2.1", "Cannot assign requested address"), ("nobody.invalid", "Name or service not known")],
)
def test_an_address_of_another_machine_is_refused(tmp_path, host, reason):
    """It says why it cannot listen there."""
    code, said = refused("--host", host, "--data", tmp_path / "data")
    assert (code, said) == (1, f"error: cannot listen on port 8700 of {host}: {reason}")


def test_answers_are_sent_without_delay():
    """A connection that the emulator accepts has TCP_NODELAY, so that an answer does not wait for more bytes."""
    with listen("127.0.0.1", 0, "--port") as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
