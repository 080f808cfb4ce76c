"""Tasks that handle secrets, carelessly, in a process whose log is set up as a worker's is; run by the test beside it.

Arguments: the log file. The connection is in the environment; what became of the tasks is printed as JSON.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from airflow.sdk.log import configure_logging
from airflow_harness import Airflow

from airflow_azml.client.transport.errors import AzureMLError
from airflow_azml.operators.artifact import AzureMLDownloadRunOutputsOperator
from airflow_azml.operators.base import AzureMLBaseOperator
from airflow_azml.operators.endpoint import AzureMLScoreOperator


class Careless(AzureMLBaseOperator):
    """Tells all that it knows, in every way there is."""

    template_fields = ("azureml_conn_id", "note")

    def __init__(self, *, note: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.note = note

    def act(self, task: Any) -> dict[str, Any]:
        """Look at a log, get keys and a token, and tell everybody; then break down over them."""
        client = task.client
        secrets = {
            "token": client.transport.token(client.cloud.arm_scope),
            "logs": client.logs.files("r1"),
            "keys": str(client.endpoints.keys("shop").primary),
        }
        self.log.info("all I know: %s", secrets)
        self.log.info("in parts", extra=secrets)
        logging.getLogger("somebody.else").warning("heard of %s", json.dumps(secrets))
        try:
            client.computes.get("broken")
        except AzureMLError as error:
            raise RuntimeError(f"{error} because of {secrets}") from error
        return {}


def main() -> None:
    """Run the tasks one after the other and say how they ended."""
    log = Path(sys.argv[1]).open("wb")  # noqa: SIM115 - for as long as the process lives
    configure_logging(json_output=True, log_level="DEBUG", output=log)
    airflow = Airflow()
    with tempfile.TemporaryDirectory() as folder:
        fields = {"run_id": "r1", "destination": folder}
        outcomes = [
            airflow.run(Careless, task_id="careless"),
            airflow.run(Careless, task_id="again", note=sys.argv[2]),
            airflow.run(AzureMLDownloadRunOutputsOperator, task_id="download", **fields),
            airflow.run(AzureMLScoreOperator, task_id="score", endpoint_name="shop", data={}),
            airflow.run(AzureMLScoreOperator, task_id="fails", endpoint_name="broken", data={}),
        ]
    states = {outcome.task.task_id: outcome.state for outcome in outcomes}
    stored = {"states": states, "xcoms": airflow.xcoms, "rendered": airflow.rendered}
    sys.stdout.write(json.dumps({**stored, "errors": [str(outcome.error) for outcome in outcomes[2:]]}))


if __name__ == "__main__":
    main()
