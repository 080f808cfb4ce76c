"""Models: registered from what a run has written, and deleted again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_azml.operators.base import AzureMLBaseOperator, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_azml.client.azureml import AzureMLClient


class AzureMLRegisterModelOperator(AzureMLBaseOperator):
    """Register a file or folder of a run's outputs as a new version of a model.

    A retry of the task registers no second version: the version carries the task's identity.

    :param model_name: the model.
    :param run_id: the run whose outputs hold it.
    :param model_path: path of the file or folder in the run, such as `outputs/model`.
    :param model_version: version to give; counted by the service when None.
    :param model_type: `custom_model`, `mlflow_model` or `triton_model`; with API v1 the framework, such as
        `ScikitLearn`.
    :param description: shown in studio.
    :param tags: can be changed later.
    :param properties: can not be changed later.
    """

    template_fields: Sequence[str] = (
        *AzureMLBaseOperator.template_fields,
        "model_name",
        "run_id",
        "model_path",
        "model_version",
        "model_type",
        "description",
        "tags",
        "properties",
    )

    def __init__(
        self,
        *,
        model_name: str,
        run_id: str,
        model_path: str = "outputs/model",
        model_version: str | None = None,
        model_type: str = "",
        description: str = "",
        tags: dict[str, str] | None = None,
        properties: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_name = model_name
        self.run_id = run_id
        self.model_path = model_path
        self.model_version = model_version
        self.model_type = model_type
        self.description = description
        self.tags = tags
        self.properties = properties

    def act(self, client: AzureMLClient, context: Context) -> Result:
        """Register it, or adopt the version that an earlier try has registered."""
        from airflow_azml.client.artifacts import clean  # noqa: PLC0415 - not at parse time
        from airflow_azml.client.models import Registration  # noqa: PLC0415 - likewise
        from airflow_azml.client.values import mapping  # noqa: PLC0415 - likewise
        from airflow_azml.client.workspace import model_page  # noqa: PLC0415 - likewise

        identity = self.identity(context)
        registration = Registration(
            name=self.model_name,
            path=clean(self.model_path),
            key=identity.name(),
            version=self.model_version,
            model_type=self.model_type,
            description=self.description,
            tags=self.tags,
            properties=mapping("properties", self.properties or {}) | identity.tags,
        )
        model = client.models.register(client.runs.get(self.run_id), registration)
        identity.check(f"model {model.name}:{model.version}", model.properties)
        return {
            "model_name": model.name,
            "model_version": model.version,
            "model_id": client.models.arm_id(model),
            "run_id": self.run_id,
            "studio_url": self.publish_page(context, model_page(model.name, model.version)),
        }


class AzureMLSetModelTagsOperator(AzureMLBaseOperator):
    """Add or change tags of a model version, and its description if one is given; other tags stay.

    :param model_name: the model.
    :param model_version: the version.
    :param tags: tags to add or change.
    :param description: new description; None leaves the old one.
    """

    template_fields: Sequence[str] = (
        *AzureMLBaseOperator.template_fields,
        "model_name",
        "model_version",
        "tags",
        "description",
    )

    def __init__(
        self,
        *,
        model_name: str,
        model_version: str,
        tags: dict[str, str],
        description: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.model_name = model_name
        self.model_version = model_version
        self.tags = tags
        self.description = description

    def act(self, client: AzureMLClient, context: Context) -> Result:
        """Set them."""
        from airflow_azml.client.workspace import model_page  # noqa: PLC0415 - not at parse time

        model = client.models.update(self.model_name, self.model_version, tags=self.tags, description=self.description)
        url = self.publish_page(context, model_page(model.name, model.version))
        return {
            "model_name": model.name,
            "model_version": model.version,
            "tags": dict(model.tags),
            "studio_url": url,
        }


class AzureMLDeleteModelOperator(AzureMLBaseOperator):
    """Delete a version of a model, or all of them; what does not exist is fine.

    A version that is in use is not deleted: the task fails and says who uses it.

    :param model_name: the model.
    :param model_version: the version; required unless `all_versions` is True.
    :param all_versions: delete every version of the model. It cannot be templated, and no `model_version` may be given.
    """

    template_fields: Sequence[str] = (*AzureMLBaseOperator.template_fields, "model_name", "model_version")

    def __init__(
        self, *, model_name: str, model_version: str | None = None, all_versions: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.model_name = model_name
        self.model_version = model_version
        self.all_versions = all_versions

    def act(self, client: AzureMLClient, context: Context) -> Result:  # noqa: ARG002 - the base's signature
        """Delete it, or them."""
        from airflow_azml.client.transport.errors import InputError  # noqa: PLC0415 - not at parse time

        version = self.model_version
        if not isinstance(self.all_versions, bool):
            raise InputError("all_versions", self.all_versions, "must be True or False")
        if self.all_versions and version is not None:
            raise InputError("model_version", version, "must not be given with all_versions=True: remove one of them")
        if self.all_versions:
            deleted = client.models.delete_all(self.model_name)
            if not deleted:
                client.routing.require()
            return {"model_name": self.model_name, "deleted_versions": list(deleted), "deleted": bool(deleted)}
        if version is None:
            raise InputError("model_version", rule="is required; only all_versions=True deletes every version")
        found = client.models.delete(self.model_name, version)
        if not found:
            client.routing.require()
        return {"model_name": self.model_name, "model_version": version, "deleted": found}
