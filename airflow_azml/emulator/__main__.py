"""`python -m airflow_azml.emulator`: start Azure ML on this machine."""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

from airflow_azml.emulator.host.claims import ClaimError
from airflow_azml.emulator.kernel.state import StateError

SHORTEST_SECRET = 16  # characters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the emulator's options; `airflow-azml emulator` has the same ones."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8700, help="port for plain HTTP (default: %(default)s)")
    parser.add_argument("--tls-port", type=_port, help="port for HTTPS, with a certificate of DIR/ca.pem")
    parser.add_argument(
        "--data", type=Path, default=Path(".azureml-emulator"), help="folder of its state (default: %(default)s)"
    )
    parser.add_argument(
        "--environments", type=Path, metavar="DIR", default=os.environ.get("AZUREML_EMULATOR_ENVIRONMENTS"),
        help="folder of the Python environments that it builds; several emulators can share it (default: in the folder"
        " of its state)",
    )  # fmt: skip
    parser.add_argument(
        "--secret", type=_secret, default=os.environ.get("AZUREML_EMULATOR_SECRET", ""),
        help="client secret to sign in with (default: one that is made for the folder); prefer the variable"
        " AZUREML_EMULATOR_SECRET, because others on this machine can read a command line",
    )  # fmt: skip
    parser.add_argument("--speed", choices=["fast", "real"], default="fast", help="how long things take")
    parser.add_argument("--throttle", action="store_true", help="refuse what exceeds the request limits of Azure")
    parser.add_argument(
        "--allow-host", type=_host, action="append", default=[], metavar="NAME",
        help="also answer for this host name; it stands in the certificate (can be repeated)",
    )  # fmt: skip
    parser.add_argument(
        "--trust-forwarded", action="store_true", default=os.environ.get("AZUREML_EMULATOR_TRUST_FORWARDED") == "1",
        help="believe X-Forwarded-Host and X-Forwarded-Proto: only behind a proxy that sets them",
    )  # fmt: skip
    parser.add_argument(
        "--request-log", type=Path, metavar="FILE", help="write a line for every request; `-` is the standard error"
    )
    parser.add_argument("--routes", action="store_true", help="list what it serves and what it does not, and end")


def run(options: argparse.Namespace) -> int:
    """Say how Airflow finds the emulator, once it can, then serve until interrupted; or list its routes."""
    if options.routes:
        from airflow_azml.emulator.host import route_list  # noqa: PLC0415 - `--help` answers without FastAPI

        print(route_list.text())
        return 0
    from airflow_azml.emulator.host.serving import run as serve  # noqa: PLC0415 - likewise

    try:
        serve(options)
    except (ClaimError, StateError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _port(text: str) -> int:
    if text.isdecimal() and int(text) in range(1, 65536):
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port: they are 1 to 65535")


def _secret(text: str) -> str:
    if not text or len(text) >= SHORTEST_SECRET:
        return text
    raise argparse.ArgumentTypeError(
        f"a secret has at least {SHORTEST_SECRET} characters: Airflow masks it wherever it stands in a log"
    )


def _host(text: str) -> str:
    if re.fullmatch(r"[a-z0-9_.-]+|[0-9a-f:.]+", text, re.ASCII | re.IGNORECASE):
        return text
    raise argparse.ArgumentTypeError(f"{text!r} is not a host name or an address: give it without scheme and port")


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m airflow_azml.emulator", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
