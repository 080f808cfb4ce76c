"""The link from a task to Azure ML studio: published while the task runs, kept when it ends."""

from __future__ import annotations

import pytest

from airflow_azml.links.azureml import AzureMLStudioLink
from airflow_azml.operators.base import AzureMLBaseOperator
from airflow_azml.operators.compute import AzureMLDeleteComputeOperator

KEY = AzureMLStudioLink.key


class Publishing(AzureMLBaseOperator):
    """Publishes a link, and looks what a person sees while it still runs."""

    def __init__(self, *, error=None, **kwargs):
        super().__init__(**kwargs)
        self.error = error

    def act(self, task):
        task.publish_page("runs", "r1")
        self.seen = task.context["ti"].xcom_pull(task_ids="task", key=KEY)
        if self.error:
            raise self.error
        return {"workspace": task.client.workspace.name}


@pytest.mark.parametrize("error", [None, RuntimeError("boom")])
def test_the_link_is_there_while_the_task_runs_and_after_it_failed(airflow_offline, error):
    """It is pushed at once, and Airflow's own push at the end does not wipe it: a failed task needs it most."""
    outcome = airflow_offline.run(Publishing, error=error)
    assert outcome.error is error
    link = "https://ml.azure.com/runs/r1?wsid=/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local"
    assert outcome.task.seen.startswith(link)
    assert outcome.xcom[KEY] == outcome.task.seen


def test_a_task_that_came_to_nothing_has_no_link(airflow_offline):
    """Airflow's UI greys out a link without an address."""
    outcome = airflow_offline.run(AzureMLDeleteComputeOperator, compute_name="")
    assert (outcome.state, outcome.xcom[KEY]) == ("failed", "")
