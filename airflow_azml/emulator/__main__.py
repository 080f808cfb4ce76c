"""`python -m airflow_azml.emulator`: start Azure ML on this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the emulator's options; `airflow-azml emulator` has the same ones."""
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8700, help="port for plain HTTP (default: %(default)s)")
    parser.add_argument("--tls-port", type=int, help="port for HTTPS, with a certificate of DIR/ca.pem")
    parser.add_argument(
        "--data", type=Path, default=Path(".azureml-emulator"), help="folder of its state (default: %(default)s)"
    )
    parser.add_argument("--speed", choices=["fast", "real"], default="fast", help="how long things take")
    parser.add_argument("--throttle", action="store_true", help="refuse what exceeds the request limits of Azure")


def run(options: argparse.Namespace) -> int:
    """Say how Airflow finds the emulator, then serve until interrupted."""
    from airflow_azml.emulator.connection import connection_line  # noqa: PLC0415 - `--help` answers without FastAPI
    from airflow_azml.emulator.server import serve  # noqa: PLC0415 - likewise

    print(connection_line(options.host, options.port, options.tls_port, options.data), flush=True)
    serve(options.host, options.port, options.data, options.tls_port, options.speed, throttle=options.throttle)
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m airflow_azml.emulator", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main())
