"""PostgreSQL's server programs of this machine: a new database cluster on the loopback interface, for one test run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

LOOPBACK = "127.0.0.1"


def postgres_programs() -> Path | None:
    """Return the folder of PostgreSQL's server programs; Debian does not have them on PATH."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return folders[-1] if folders else None


def new_cluster(data: Path, port: int, *, user: str, password: str, database: str) -> list[str]:
    """Do what the Docker image does at its first start; return the server's command.

    :param data: an empty folder, where PostgreSQL's own user may go.
    """
    programs, as_user = postgres_programs(), []
    with tempfile.NamedTemporaryFile("w") as secret:
        secret.write(password)
        secret.flush()
        if os.geteuid() == 0:  # which PostgreSQL refuses to be
            as_user = ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]
            for path in (data, secret.name):
                shutil.chown(path, "postgres", "postgres")
        login = ["--username", user, "--pwfile", secret.name, "--auth", "scram-sha-256"]
        _once([*as_user, f"{programs}/initdb", "--pgdata", str(data), "--no-sync", *login])
    _once([*as_user, f"{programs}/postgres", "--single", "-D", str(data), "postgres"], f"CREATE DATABASE {database}")
    sockets = ["-c", "unix_socket_directories=", "-c", f"listen_addresses={LOOPBACK}"]
    return [*as_user, f"{programs}/postgres", "-D", str(data), "-p", str(port), *sockets]


def _once(command: list[str], stdin: str = "") -> None:
    done = subprocess.run(command, input=stdin, cwd="/", capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
