"""Models: registered from a run, from files beside the DAG or from a datastore; tagged, archived and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow_azml.operators.base import AzureMLBaseOperator, Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_azml.runtime.task import Task


class AzureMLRegisterModelOperator(AzureMLBaseOperator):
    """Register a file or folder as a new version of a model: of a run's outputs, of this machine, or of a datastore.

    Give exactly one of `run_id`, `local_path` and `datastore_path`.

    A retry of the task registers no second version: the version carries the task's identity.

    API: `PUT .../models/{model_name}/versions/{version}` (v2), `POST modelmanagement/v1.0/.../models` (v1),
    https://learn.microsoft.com/rest/api/azureml/model-versions

    Returns `model_name`, `model_version`, `model_id`, `run_id`, `tags` and `studio_url`. Raises InputError when
    there is no such file or not exactly one source, NotFoundError when there is no such run, NotOwnedError when the
    version belongs to another task, ConflictError when somebody else has the version that was chosen.

    :param model_name: the model.
    :param run_id: the run whose outputs hold it.
    :param model_path: path of the file or folder in the run, such as `outputs/model`.
    :param local_path: file or folder to upload, relative to the DAG file.
    :param datastore_path: `azureml://datastores/NAME/paths/PATH`, a file or folder that is there already; needs API v2.
    :param model_version: version to give; counted by the service when None.
    :param model_type: `custom_model`, `mlflow_model` or `triton_model`; with API v1 the framework, such as
        `ScikitLearn`.
    :param description: shown in studio.
    :param tags: can be changed later.
    :param properties: can not be changed later.
    """

    template_fields: Sequence[str] = (
        *AzureMLBaseOperator.template_fields,
        *("model_name", "run_id", "model_path", "local_path", "datastore_path", "model_version", "model_type"),
        *("description", "tags", "properties"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"tags": "json", "properties": "json"}

    def __init__(
        self,
        *,
        model_name: str,
        run_id: str | None = None,
        model_path: str = "outputs/model",
        local_path: str | None = None,
        datastore_path: str | None = None,
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
        self.local_path = local_path
        self.datastore_path = datastore_path
        self.model_version = model_version
        self.model_type = model_type
        self.description = description
        self.tags = tags
        self.properties = properties

    def act(self, task: Task) -> Result:
        """Register it, or adopt the version that an earlier try has registered."""
        return task.register_model(
            name=self.model_name,
            run_id=self.run_id,
            path=self.model_path,
            local_path=self.local_path,
            datastore_path=self.datastore_path,
            version=self.model_version,
            model_type=self.model_type,
            description=self.description,
            tags=self.tags,
            properties=self.properties,
        )


class AzureMLSetModelTagsOperator(AzureMLBaseOperator):
    """Add or change tags of a model version, and its description if one is given; other tags stay.

    API: `PUT .../models/{model_name}/versions/{model_version}` (v2), `PATCH` of the same model (v1),
    https://learn.microsoft.com/rest/api/azureml/model-versions

    Returns `model_name`, `model_version`, `model_id`, `run_id`, `tags` and `studio_url`. Raises NotFoundError when
    there is no such version, InputError for tags that are no mapping of texts, numbers and booleans.

    :param model_name: the model.
    :param model_version: the version.
    :param tags: tags to add or change.
    :param description: new description; None leaves the old one.
    """

    template_fields: Sequence[str] = (
        *AzureMLBaseOperator.template_fields,
        *("model_name", "model_version", "tags", "description"),
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"tags": "json"}

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

    def act(self, task: Task) -> Result:
        """Set them."""
        model = task.client.models.update(
            self.model_name, self.model_version, tags=self.tags, description=self.description
        )
        return task.model_result(model)


class AzureMLArchiveModelOperator(AzureMLBaseOperator):
    """Archive a model version, or bring it back: an archived version is in no list, and deployments of it go on.

    API: `PUT .../models/{model_name}/versions/{model_version}` with `isArchived`; API v2 only,
    https://learn.microsoft.com/rest/api/azureml/model-versions

    Returns `model_name`, `model_version`, `model_id`, `run_id`, `tags` and `studio_url`. Raises NotFoundError when
    there is no such version, InputError for API v1.

    :param model_name: the model.
    :param model_version: the version.
    :param archived: False brings it back. It cannot be templated.
    """

    template_fields: Sequence[str] = (*AzureMLBaseOperator.template_fields, "model_name", "model_version")

    def __init__(self, *, model_name: str, model_version: str, archived: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model_name = model_name
        self.model_version = model_version
        self.archived = archived

    def act(self, task: Task) -> Result:
        """Archive it, or bring it back."""
        models = task.client.models
        return task.model_result(models.archive(self.model_name, self.model_version, archived=self.archived))


class AzureMLDeleteModelOperator(AzureMLBaseOperator):
    """Delete a version of a model, or all of them; what does not exist is fine.

    A version that is in use is not deleted: the task fails and says who uses it.

    API: `DELETE .../models/{model_name}/versions/{model_version}`, https://learn.microsoft.com/rest/api/azureml/model-versions

    Returns `model_name`, `model_version`, `deleted_versions` and `deleted`. Raises ConflictError for one in use,
    InputError when neither or both of `model_version` and `all_versions` are given.

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

    def act(self, task: Task) -> Result:
        """Delete it, or them."""
        deleted = task.client.models.delete_versions(
            self.model_name, self.model_version, all_versions=self.all_versions
        )
        return {
            "model_name": self.model_name,
            "model_version": self.model_version,
            "deleted_versions": deleted,
            "deleted": bool(deleted),
        }
