"""Azure ML for tests: `AzureMLEmulator`, and the fixture `azureml_emulator` (`airflow_azml.testing.pytest_plugin`).

pytest imports this package in every project that has airflow-azml installed, so the class is loaded when it is first
used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_azml.testing.emulator import AzureMLEmulator, EmulatorError

__all__ = ["AzureMLEmulator", "EmulatorError"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from airflow_azml.testing import emulator  # noqa: PLC0415 - loads urllib

    return getattr(emulator, name)
