"""The environment of a run: what the run API would ignore is put into the definition, or refused."""

from __future__ import annotations

import re

import pytest
from client_support import ARM, WS

from airflow_azml.client.specs import environment as environments
from airflow_azml.client.specs.run_definition import run_definition
from airflow_azml.client.transport.errors import InputError, NotFoundError

CONDA = {"dependencies": ["python=3.11", {"pip": ["mlflow"]}]}
CONDA_TEXT = "dependencies:\n- python=3.11\n- pip:\n  - mlflow\n"
MADE_OF = {
    "python": {"interpreterPath": "python", "userManagedDependencies": False, "condaDependencies": CONDA},
    "docker": {"baseImage": "mcr/x"},
}
CURATED = f"{ARM}/environments/AzureML-sklearn/versions"


def checked(environment, tmp_path):
    """Return the environment of a run definition after it was checked."""
    definition = run_definition({"script": "t.py", "environment": environment}, "definition", [tmp_path])
    return definition["configuration"]["environment"]


def sent(client, environment, tmp_path):
    """Return the environment as it is sent, after those that are only named were looked up."""
    definition = run_definition({"script": "t.py", "environment": environment}, "definition", [tmp_path])
    return client.environments.inlined(definition)["configuration"]["environment"]


@pytest.fixture
def folder(tmp_path):
    """A folder with the files that the definitions name."""
    (tmp_path / "conda.yml").write_text(CONDA_TEXT)
    (tmp_path / "Dockerfile").write_text("FROM mcr/x\nRUN true\n")
    return tmp_path


def test_one_form_of_environment_serves_runs_deployments_and_registered_environments(folder, monkeypatch):
    """`{"image": ..., "conda_file": ...}` means the same everywhere, with the file's content or its path."""
    monkeypatch.chdir(folder)
    for conda in (CONDA, "conda.yml"):
        described = {"image": "mcr/x", "conda_file": conda}
        assert checked(described, folder) == MADE_OF
        properties = environments.read(described, "environment", name="e").properties
        assert properties == {"image": "mcr/x", "condaFile": CONDA_TEXT}


def test_a_conda_file_is_read_into_the_definition(folder):
    """The service does not read `condaDependenciesFile`: only Microsoft's own client does."""
    environment = checked({"python": {"condaDependenciesFile": "conda.yml"}}, folder)
    assert environment["python"] == {"condaDependencies": CONDA}


def test_a_dockerfile_is_read_into_the_definition(folder):
    """`baseDockerfile` is the text of a Dockerfile: a name would be taken for its content."""
    assert checked({"docker": {"baseDockerfile": "Dockerfile"}}, folder)["docker"] == {
        "baseDockerfile": "FROM mcr/x\nRUN true\n"
    }
    text = {"docker": {"baseDockerfile": "FROM y"}}
    assert checked(text, folder) == text


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"r": {"rVersion": "4"}}, "environment.r: is not supported, Azure ML has retired it"),
        (
            {"python": {"condaDependenciesFile": "conda.yml", "condaDependencies": {}}},
            "condaDependenciesFile 'conda.yml': cannot be given beside condaDependencies",
        ),
        ({"python": {"condaDependenciesFile": "nowhere.yml"}}, "condaDependenciesFile 'nowhere.yml': is no file in"),
        ({"docker": {"baseDockerfile": "nowhere"}}, "baseDockerfile 'nowhere': is no file in"),
        ({"build": {"dockerfile_path": "."}}, "is built from a Dockerfile: give its text as docker.baseDockerfile"),
    ],
)
def test_what_no_service_would_honour_is_refused(folder, environment, said):
    """Nothing is accepted and then ignored."""
    with pytest.raises(InputError, match=re.escape(said)):
        checked(environment, folder)


@pytest.mark.parametrize(
    "named",
    [
        {"name": "AzureML-sklearn", "version": "3"},
        {"name": "AzureML-sklearn"},
        {"assetId": f"{WS}/environments/AzureML-sklearn/versions/3"},
        "azureml:AzureML-sklearn:3",
        f"azureml:{WS}/environments/AzureML-sklearn/versions/3",
        {"name": "AzureML-sklearn", "version": "3", "docker": {"shmSize": "4g"}},
    ],
)
def test_an_environment_that_is_only_named_is_written_out(client, requests_mock, folder, named):
    """The run API looks up none: what a curated environment is made of is sent; what else was said stays."""
    row = {"name": "3", "properties": {"image": "mcr/x", "condaFile": CONDA_TEXT}}
    requests_mock.get(f"{CURATED}/3", json=row)
    requests_mock.get(CURATED, json={"value": [row, {"name": "2"}]})
    size = {"shmSize": "4g"} if "docker" in named else {}
    assert sent(client, named, folder) == {**MADE_OF, "docker": {**size, "baseImage": "mcr/x"}}


def test_an_environment_that_is_described_is_not_looked_up(client, requests_mock, folder):
    """Its name is only a label then."""
    described = {"name": "mine", "python": {"userManagedDependencies": True}}
    assert sent(client, described, folder) == described
    assert requests_mock.request_history == []


def test_a_named_environment_that_is_not_there_is_refused_before_the_run_is_started(client, requests_mock, folder):
    """Also one of a registry, which the run API cannot look up either."""
    requests_mock.get(f"{CURATED}/3", status_code=404)
    with pytest.raises(NotFoundError, match="environment AzureML-sklearn, version 3, is not in the workspace"):
        sent(client, {"name": "AzureML-sklearn", "version": "3"}, folder)
    with pytest.raises(InputError, match="is not in the workspace, and the run API cannot look it up"):
        sent(client, "azureml://registries/azureml/environments/sklearn/versions/3", folder)
