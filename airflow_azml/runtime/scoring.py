"""A request to a model. When it fails, the error shows what the model's containers have printed last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.client.transport.errors import AzureMLError, ModelError, ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_azml.client.azureml import AzureMLClient


def score(client: AzureMLClient, endpoint: str, data: Any, *, deployment: str | None, timeout: float) -> Any:
    """Send a request to the model. An error shows the logs of all deployments that may have answered."""
    try:
        return client.endpoints.score(endpoint, data, deployment=deployment, timeout=timeout)
    except (ModelError, ServiceError) as error:  # the service says no more than "check the logs"
        error.remedy = "\n".join(["", *_logs(client, endpoint, deployment)])
        raise


def _logs(client: AzureMLClient, endpoint: str, deployment: str | None) -> Iterator[str]:
    """Yield the logs; what cannot be read must not hide why the request failed."""
    try:
        shares = {deployment: 100} if deployment else client.endpoints.get(endpoint).traffic
    except AzureMLError as error:
        yield f"(which deployments have answered is not known: {error})"
        return
    for name in (name for name, share in shares.items() if share):
        yield f"Log of deployment {name}:"
        yield from client.log(client.deployments.target(name, endpoint))
