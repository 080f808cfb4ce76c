"""The pytest plugin of airflow-azml: the fixture `azureml_emulator`, an Azure ML on this machine for tests of DAGs.

pytest loads this file in every project that has airflow-azml installed: what the fixture needs is imported when a test
asks for it, and nothing else of the package is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_azml.testing.emulator import AzureMLEmulator


@pytest.fixture(scope="session")
def azureml_emulator_process(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[AzureMLEmulator]:
    """Keep one emulator for the whole session: starting it takes a few seconds.

    The Python environments that it builds stay in pytest's cache folder for the next session.
    """
    from airflow_azml.testing.emulator import AzureMLEmulator  # noqa: PLC0415 - see above

    cache = getattr(pytestconfig, "cache", None)  # absent with `-p no:cacheprovider`
    environments = cache.mkdir("azureml-environments") if cache else None
    with AzureMLEmulator(tmp_path_factory.mktemp("azureml-emulator"), environments=environments) as emulator:
        yield emulator


@pytest.fixture
def azureml_emulator(azureml_emulator_process: AzureMLEmulator, monkeypatch: pytest.MonkeyPatch) -> AzureMLEmulator:
    """An Azure ML on this machine, to which the Airflow connection `azureml_default` leads during the test."""
    azureml_emulator_process.begin()
    monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", azureml_emulator_process.connection)
    return azureml_emulator_process
