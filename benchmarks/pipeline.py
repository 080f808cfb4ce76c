"""HTTP requests of the main job, by operation: the example DAG from the compute to the last clean-up.

Airflow's own `dag.test()` runs every task against a fresh emulator. Before each task (and each resumption of a deferred
one) everything that a process remembers is forgotten, because in production each of them is a process of its own that
signs in and finds its way anew. Looks at what is waited for (get run, get deployment, ...) come every 2 s, so their
number grows with the time that this machine takes; all others are fixed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

DAGS = Path(__file__).parents[1] / "dags"
DAG_ID = "azureml_train_deploy_cleanup"


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_emulator(data: Path) -> Iterator[dict[str, str]]:
    """Start an emulator in a process of its own; yield the environment variable with Airflow's connection to it."""
    port, tls_port = free_port(), free_port()
    command = [sys.executable, "-m", "airflow_azml.emulator", "--port", str(port)]
    command += ["--tls-port", str(tls_port), "--data", str(data)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout
            name, _, value = process.stdout.readline().strip().partition("=")
            wait_until_ready(f"http://127.0.0.1:{port}/health")
            yield {name: value.strip("'")}
        finally:
            process.terminate()


def wait_until_ready(url: str) -> None:
    """Return when the address answers."""
    for _ in range(300):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):  # noqa: S310 - our own address
            return
        time.sleep(0.1)
    raise TimeoutError(url)


class Counting:
    """Counts what all clients of this process send."""

    def __init__(self) -> None:
        from airflow_azml.client.transport import http, session  # noqa: PLC0415 - after Airflow's home is set

        self.requests: Counter[str] = Counter()
        begin, send = http.Transport.__init__, session.Session.request

        def begin_counted(transport: http.Transport, *arguments: Any, **options: Any) -> None:
            begin(transport, *arguments, **options)
            transport.requests = self.requests  # one for all

        def send_counted(own: session.Session, method: str, url: str, **options: Any) -> Any:
            if "/oauth2/" in url or url.endswith("/openid-configuration"):
                self.requests["sign in"] += 1  # msal's, which no transport sees
            return send(own, method, url, **options)

        http.Transport.__init__, session.Session.request = begin_counted, send_counted  # type: ignore[method-assign]


def forget(_context: object) -> None:
    """Forget tokens and routes, as the process does that a task ends with."""
    from airflow_azml.client.routing import Routing  # noqa: PLC0415 - after Airflow's home is set
    from airflow_azml.hooks import connection  # noqa: PLC0415 - likewise

    connection._clients.clear()  # noqa: SLF001 - a process that ends forgets more than this
    Routing.forget()


def count_requests() -> Counter[str]:
    """Run the example DAG and return its requests by operation."""
    from airflow.dag_processing.dagbag import BundleDagBag  # noqa: PLC0415 - after Airflow's home is set
    from airflow.utils.db import initdb  # noqa: PLC0415 - likewise

    counting = Counting()
    initdb()
    dag = BundleDagBag(DAGS / f"{DAG_ID}.py", bundle_path=DAGS, bundle_name="dags").dags[DAG_ID]
    for task in dag.tasks:
        task._pre_execute_hook = forget  # noqa: SLF001 - what the parameter `pre_execute` sets
    run = dag.test()
    assert run.state == "success", f"the DAG run is {run.state}"
    return counting.requests


def measure(work: Path) -> dict[str, int]:
    """Return the requests by operation, the most frequent first."""
    os.environ["AIRFLOW_HOME"] = str(work / "airflow")
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(DAGS)
    with running_emulator(work / "data") as connection, contextlib.redirect_stdout(sys.stderr):
        os.environ.update(connection)
        return dict(count_requests().most_common())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="benchmark-") as work:
        requests = measure(Path(work))
    seconds = round(time.perf_counter() - started)
    if options.json:
        print(json.dumps({"total": sum(requests.values()), "seconds": seconds, "by_operation": requests}))
        return
    print(f"HTTP requests of {DAG_ID}, each task on its own ({seconds} s)")
    for operation, number in requests.items():
        print(f"  {operation:32} {number:5}")
    print(f"  {'together':32} {sum(requests.values()):5}")


if __name__ == "__main__":
    main()
