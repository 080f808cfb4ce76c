"""Online endpoints: the address that a model is scored at, and how its traffic is shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_azml.operators.base import AzureMLBaseOperator, AzureMLWaitingOperator, Result
from airflow_azml.task import seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_azml.client.azureml import AzureMLClient
    from airflow_azml.client.lifecycle import Target


class AzureMLCreateOnlineEndpointOperator(AzureMLWaitingOperator):
    """Create an online endpoint, or change the one of that name where it differs from what is given here.

    What is not given stays as it is: traffic, other tags, identity.

    :param endpoint_name: 3 to 32 letters, digits or `-`; unique in the region.
    :param auth_mode: how callers authenticate: `Key`, as at new endpoints, `AMLToken` or `AADToken`.
    :param tags: tags to add or change.
    :param spec: further JSON of the endpoint (`identity`, `properties`, ...): a dict, or the path of a `.json` or
        `.yml` file beside the DAG.
    """

    template_fields: Sequence[str] = (
        *AzureMLWaitingOperator.template_fields,
        "endpoint_name",
        "auth_mode",
        "tags",
        "spec",
    )

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

    def submit(self, client: AzureMLClient, context: Context) -> Target:
        """Create it, change it, or leave it as it is."""
        from airflow_azml.client.lifecycle import Kind, Target  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.values import texts, with_texts  # noqa: PLC0415 - likewise

        spec = with_texts(self.definition(self.spec, context))
        named = {"authMode": self.auth_mode} if self.auth_mode else {}
        properties = {**named, **spec.get("properties", {})}
        tags = {**spec.get("tags", {}), **texts("tags", self.tags)}
        operation = client.endpoints.ensure(
            self.endpoint_name, {**spec, "properties": properties, "tags": tags}
        ).operation
        return Target(Kind.ENDPOINT, self.endpoint_name, operation_url=operation.address if operation else "")

    def result(self, client: AzureMLClient, target: Target) -> Result:
        """Return the endpoint's name, state and scoring URI."""
        from airflow_azml.facts import facts  # noqa: PLC0415 - not at parse time

        return facts(client, target)


class AzureMLSetOnlineTrafficOperator(AzureMLWaitingOperator):
    """Share an endpoint's traffic out among its deployments.

    :param endpoint_name: the endpoint.
    :param traffic: percent by deployment, together 100 (or 0 for none).
    """

    template_fields: Sequence[str] = (*AzureMLWaitingOperator.template_fields, "endpoint_name", "traffic")

    def __init__(self, *, endpoint_name: str, traffic: dict[str, int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.traffic = traffic

    def submit(self, client: AzureMLClient, context: Context) -> Target:  # noqa: ARG002 - setting it twice is setting it
        """Set it."""
        from airflow_azml.client.lifecycle import Kind, Target  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.values import mapping, whole_number  # noqa: PLC0415 - likewise

        shares = mapping("traffic", self.traffic)
        traffic = {name: whole_number(f"traffic of {name}", percent) for name, percent in shares.items()}
        operation = client.endpoints.set_traffic(self.endpoint_name, traffic).operation
        return Target(Kind.ENDPOINT, self.endpoint_name, operation_url=operation.address if operation else "")

    def result(self, client: AzureMLClient, target: Target) -> Result:
        """Return the endpoint's name, state, scoring URI and traffic."""
        from airflow_azml.facts import facts  # noqa: PLC0415 - not at parse time

        return facts(client, target)


class AzureMLScoreOperator(AzureMLBaseOperator):
    """Send a request to an endpoint and return the model's answer.

    :param endpoint_name: the endpoint.
    :param data: what the model takes, as JSON.
    :param deployment_name: ask this deployment, whatever the traffic says.
    :param request_timeout: seconds to wait for the answer; the service itself gives up after 90.
    """

    template_fields: Sequence[str] = (*AzureMLBaseOperator.template_fields, "endpoint_name", "data", "deployment_name")

    def __init__(
        self,
        *,
        endpoint_name: str,
        data: Any,
        deployment_name: str | None = None,
        request_timeout: float | timedelta = 90,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name
        self.data = data
        self.deployment_name = deployment_name
        self.request_timeout = seconds("request_timeout", request_timeout)

    def act(self, client: AzureMLClient, context: Context) -> Result:
        """Score it."""
        from airflow_azml.client.transport.errors import ModelError, ServiceError  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.workspace import endpoint_page  # noqa: PLC0415 - likewise

        url = self.publish_page(context, endpoint_page(self.endpoint_name))
        try:
            answer = client.endpoints.score(
                self.endpoint_name, self.data, deployment=self.deployment_name, timeout=self.request_timeout
            )
        except (ModelError, ServiceError) as error:  # it says no more than "check the logs"
            error.remedy = "\n".join(["", *self._logs(client)])
            raise
        return {"endpoint_name": self.endpoint_name, "answer": answer, "studio_url": url}

    def _logs(self, client: AzureMLClient) -> Iterator[str]:
        """Yield the ends of the logs of all deployments that may have answered."""
        from airflow_azml.client.lifecycle import Kind, Target  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.targets import log_tail  # noqa: PLC0415 - likewise

        shares = client.endpoints.get(self.endpoint_name).traffic
        for name in [self.deployment_name] if self.deployment_name else [name for name in shares if shares[name]]:
            yield f"Log of deployment {name}:"
            yield from log_tail(client, Target(Kind.DEPLOYMENT, name, parent=self.endpoint_name))


class AzureMLDeleteOnlineEndpointOperator(AzureMLWaitingOperator):
    """Delete an online endpoint with all its deployments; one that does not exist is fine.

    :param endpoint_name: the endpoint.
    """

    template_fields: Sequence[str] = (*AzureMLWaitingOperator.template_fields, "endpoint_name")

    def __init__(self, *, endpoint_name: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endpoint_name = endpoint_name

    def submit(self, client: AzureMLClient, context: Context) -> Target:  # noqa: ARG002 - nothing to adopt
        """Delete it."""
        from airflow_azml.client.lifecycle import Goal, Kind, Target  # noqa: PLC0415 - not at parse time

        operation = client.endpoints.delete(self.endpoint_name)
        url = operation.address if operation else ""
        return Target(Kind.ENDPOINT, self.endpoint_name, goal=Goal.GONE, operation_url=url)
