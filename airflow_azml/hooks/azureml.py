"""AzureMLHook: the client of the workspace that an Airflow connection names."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.sdk import BaseHook
from airflow.sdk.execution_time import context as sdk_context
from airflow.sdk.log import mask_secret

from airflow_azml.client.doctor import Step, walk
from airflow_azml.client.transport.errors import AzureMLError
from airflow_azml.hooks.connection import Settings
from airflow_azml.hooks.form import field_behaviour, form_widgets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.sdk import Connection

    from airflow_azml.client.azureml import AzureMLClient


class AzureMLHook(BaseHook):
    """Talk to Azure Machine Learning through an Airflow connection of type `azureml`.

    All that the provider can do is on `client`: `hook.client.runs.get(...)`, `.computes`, `.models`, `.endpoints`,
    `.deployments`, `.artifacts`, `.environments`, `.code_assets`, `.workspaces` ... A process shares its clients.

    :param azureml_conn_id: the connection: credential, workspace, cloud and API generation.
    """

    conn_name_attr = "azureml_conn_id"
    default_conn_name = "azureml_default"
    conn_type = "azureml"
    hook_name = "Azure Machine Learning"

    def __init__(self, azureml_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.azureml_conn_id = azureml_conn_id

    @cached_property
    def settings(self) -> Settings:
        """What the connection says. InputError names every field that it lacks."""
        connection = self.get_connection(self.azureml_conn_id)
        return _settings_of(connection, connection.extra_dejson)

    @cached_property
    def client(self) -> AzureMLClient:
        """The client. InputError names every field that the connection lacks."""
        return _client_of(self.settings)

    @property
    def namespace(self) -> str:
        """The name of this Airflow among those that use the workspace; empty when the connection has none."""
        return self.settings.namespace

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """Return the fields of the connection form; only Airflow 3.1 calls this."""
        return form_widgets()

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """Return which standard fields the connection form hides or renames; only Airflow 3.1 calls this."""
        return field_behaviour()

    def get_conn(self) -> AzureMLClient:
        """Return the client."""
        return self.client

    @classmethod
    async def aclient(cls, azureml_conn_id: str) -> AzureMLClient:
        """Return the client inside an event loop, where the synchronous lookup of a connection could block it."""
        connection = await cls.aget_connection(azureml_conn_id)
        aextra = getattr(connection, "aextra_dejson", None)  # not on the oldest Airflow that we support
        return _client_of(_settings_of(connection, await aextra() if aextra else connection.extra_dejson))

    def diagnose(self) -> Iterator[Step]:
        """Yield the steps to the workspace, then the checks of the credential's permissions."""
        try:
            client = self.client
        except AirflowNotFoundException as error:
            yield Step("connection", ok=False, text=str(error), remedy="Make it under Admin > Connections.")
            return
        except AzureMLError as error:
            yield Step.failed("connection", error)
            return
        identity, remedy = _identity(self.namespace)
        found = (f"'{self.azureml_conn_id}' leads to {client.workspace.arm_id}", identity, *self.settings.unknown)
        yield Step("connection", ok=True, text="; ".join(found), remedy=remedy)
        yield from walk(client)

    def test_connection(self) -> tuple[bool, str]:
        """Make all checks; return which ones failed and why, or what was found."""
        steps = list(self.diagnose())
        if failed := [str(step) for step in steps if not step.ok]:
            return False, "; ".join(failed)
        return True, "; ".join([*(f"{step.name}: {step.text}" for step in steps[1:]), *self.settings.unknown])


def _settings_of(connection: Connection, extra: dict[str, Any]) -> Settings:
    certificate = str(extra.get("certificate") or "")
    for secret in (extra.get("token"), certificate if "PRIVATE KEY" in certificate else None):  # or it is a path
        if secret:
            mask_secret(secret)
    return Settings.read(connection.conn_id, connection.login, connection.password, extra)


def _client_of(settings: Settings) -> AzureMLClient:
    return settings.client(mask_secret)


def _identity(namespace: str) -> tuple[str, str]:
    """Say how the runs of this Airflow are told apart from those of others, and what to do where they are not."""
    named = f"namespace '{namespace}'" if namespace else "no namespace"
    if hasattr(sdk_context, "TaskStateStoreAccessor"):
        return f"runs are told apart by a nonce in Airflow's task state store; {named}", ""
    remedy = "If several Airflows use the workspace, set 'namespace' in the connection of each."
    text = f"runs are told apart by the namespace only, for Airflow has no task state store before 3.3; {named}"
    return text, "" if namespace else remedy
