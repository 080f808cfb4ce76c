"""Online endpoints: the address that a model is scored at, and how its traffic is shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from airflow_azml.operators.base import AzureMLBaseOperator, AzureMLWaitingOperator, Result
from airflow_azml.parameters import Seconds, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.client.lifecycle import Target
    from airflow_azml.runtime.task import Task


class AzureMLCreateOnlineEndpointOperator(AzureMLWaitingOperator):
    """Create an online endpoint, or change the one of that name where it differs from what is given here.

    What is not given stays as it is: traffic, other tags, identity.

    API: `PUT .../onlineEndpoints/{endpoint_name}`, https://learn.microsoft.com/rest/api/azureml/online-endpoints

    Returns `endpoint_name`, `provisioning_state`, `scoring_uri`, `traffic` and `studio_url`. Raises InputError for a
    value that is wrong, ConflictError for a difference that cannot be changed, OperationFailedError when the endpoint
    fails, TimeoutError after `timeout`.

    :param endpoint_name: 3 to 32 letters, digits or `-`; unique in the region.
    :param auth_mode: how callers authenticate: `Key`, as at new endpoints, `AMLToken` or `AADToken`.
    :param tags: tags to add or change.
    :param spec: further JSON of the endpoint (`identity`, `properties`, ...): a dict, or the path of a `.json` or
        `.yml` file beside the DAG. If it contradicts a parameter, the task fails.
    """

    template_fields: Sequence[str] = (
        *AzureMLWaitingOperator.template_fields,
        *("endpoint_name", "auth_mode", "tags", "spec"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"tags": "json", "spec": "json"}

    def __init__(
        self,
        *,
        endpoint_name: str,
        auth_mode: Literal["Key", "AMLToken", "AADToken"] | None = None,
        tags: dict[str, str] | None = None,
        spec: dict[str, Any] | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.auth_mode = auth_mode
        self.tags = tags
        self.spec = spec

    def submit(self, task: Task) -> Target:
        """Create it, change it, or leave it as it is."""
        return task.client.endpoints.ensure(
            self.endpoint_name, task.definition(self.spec), auth_mode=self.auth_mode, tags=self.tags
        )


class AzureMLSetOnlineTrafficOperator(AzureMLWaitingOperator):
    """Share an endpoint's traffic out among its deployments.

    API: `PUT .../onlineEndpoints/{endpoint_name}`, https://learn.microsoft.com/rest/api/azureml/online-endpoints

    Returns what `AzureMLCreateOnlineEndpointOperator` returns. Raises InputError unless the shares make a whole,
    NotFoundError when there is no such endpoint, OperationFailedError when the change fails, TimeoutError after
    `timeout`.

    :param endpoint_name: the endpoint.
    :param traffic: percent by deployment, together 100 (or 0 for none).
    """

    template_fields: Sequence[str] = (*AzureMLWaitingOperator.template_fields, "endpoint_name", "traffic")
    template_fields_renderers: ClassVar[dict[str, str]] = {"traffic": "json"}

    def __init__(self, *, endpoint_name: str, traffic: dict[str, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.traffic = traffic

    def submit(self, task: Task) -> Target:
        """Set it."""
        return task.client.endpoints.set_traffic(self.endpoint_name, self.traffic)


class AzureMLScoreOperator(AzureMLBaseOperator):
    """Send a request to an endpoint and return the model's answer.

    API: `POST {scoring_uri}`, https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints

    Returns `endpoint_name`, `answer` and `studio_url`. The answer is JSON or text; binary data is
    `{"content_type": ..., "base64": ...}`. Raises ModelError when the model fails or refuses the request, and
    ServiceError when the endpoint fails, both with the last lines of the deployments' logs; NotFoundError when there is
    no such endpoint, ThrottledError after too many requests, InputError for data that JSON cannot hold.

    :param endpoint_name: the endpoint.
    :param data: what the model takes, as JSON.
    :param deployment_name: ask this deployment, whatever the traffic says.
    :param request_timeout: seconds to wait for the answer; the service itself gives up after 90.
    """

    template_fields: Sequence[str] = (*AzureMLBaseOperator.template_fields, "endpoint_name", "data", "deployment_name")
    template_fields_renderers: ClassVar[dict[str, str]] = {"data": "json"}

    def __init__(
        self,
        *,
        endpoint_name: str,
        data: Any,
        deployment_name: str | None = None,
        request_timeout: Seconds = 90,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.data = data
        self.deployment_name = deployment_name
        self.request_timeout = seconds("request_timeout", request_timeout)

    def act(self, task: Task) -> Result:
        """Score it."""
        url = task.publish_page("endpoints", self.endpoint_name)
        answer = task.score(
            self.endpoint_name, self.data, deployment=self.deployment_name, timeout=self.request_timeout
        )
        return {"endpoint_name": self.endpoint_name, "answer": answer, "studio_url": url}


class AzureMLDeleteOnlineEndpointOperator(AzureMLWaitingOperator):
    """Delete an online endpoint with all its deployments; one that does not exist is fine.

    API: `DELETE .../onlineEndpoints/{endpoint_name}`, https://learn.microsoft.com/rest/api/azureml/online-endpoints

    Returns `endpoint_name` and `studio_url`. Raises InputError for a value that is wrong, OperationFailedError when the
    deletion fails, TimeoutError after `timeout`.

    :param endpoint_name: the endpoint.
    """

    template_fields: Sequence[str] = (*AzureMLWaitingOperator.template_fields, "endpoint_name")

    def __init__(self, *, endpoint_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name

    def submit(self, task: Task) -> Target:
        """Delete it."""
        return task.client.endpoints.delete(self.endpoint_name)
