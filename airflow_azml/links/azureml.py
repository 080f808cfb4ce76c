"""One click from a task to what it works on in Azure ML studio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperatorLink
from airflow.sdk.execution_time.xcom import XCom

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context
    from airflow.sdk.types import TaskInstanceKey


class AzureMLStudioLink(BaseOperatorLink):
    """The run, compute, model or endpoint of a task in Azure ML studio.

    The URL travels in an XCom, which is pushed right after submitting: the link works while the task still waits.
    """

    key: ClassVar[str] = "azureml_studio_link"

    @property
    def name(self) -> str:
        """The button's text."""
        return "Azure ML studio"

    @property
    def xcom_key(self) -> str:
        """Where Airflow's API looks for the URL."""
        return self.key

    @classmethod
    def publish(cls, context: Context, url: str) -> None:
        """Make the URL known while the task still runs."""
        context["ti"].xcom_push(key=cls.key, value=url)

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Return the URL that was published, empty when the task came to nothing before."""
        url: Any = XCom.get_value(ti_key=ti_key, key=self.key)
        return str(url or "")


STUDIO_LINKS = (AzureMLStudioLink(),)
