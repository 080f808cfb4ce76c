"""The data of runs: brought before the run, taken over after it, refused by name when it cannot be."""

from __future__ import annotations

import json

import pytest
from runs_support import Client

from airflow_azml.emulator.http.faults import Fault
from airflow_azml.emulator.kernel import facts
from airflow_azml.emulator.runs import data, members

BLOBS = f"/_blob/{facts.STORAGE_ACCOUNT}/{facts.BLOBSTORE_CONTAINER}"
STORE = "workspaceblobstore"
BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}


@pytest.fixture(scope="module")
def client(emulator):
    client = Client(emulator)
    client.ensure_compute(nodes=4)
    for name, text in (("in/a.csv", "1,2"), ("in/deep/b.csv", "3,4")):
        assert emulator.call("PUT", f"{BLOBS}/{name}", data=text, headers=BLOCK_BLOB).status_code == 201
    return client


def blob(client, name: str) -> str:
    return str(client.emulator.call("GET", f"{BLOBS}/{name}").text)


def finished(client, source: str, **configuration):
    run_id = client.start(source, **configuration)
    run = client.wait(run_id)
    assert run["status"] == "Completed", client.log(run_id)
    return client.log(run_id).splitlines()


READ = """
import os, sys
root = sys.argv[1]
print(open(root + "/a.csv").read(), open(root + "/deep/b.csv").read(), root == os.environ["AZUREML_DATAREFERENCE_d"])
"""


@pytest.mark.parametrize("mode", ["Mount", "download"])
def test_a_data_reference_is_delivered(client, mode):
    """Its path stands in its variable and replaces the variable's name in an argument."""
    reference = {"dataStoreName": STORE, "mode": mode, "pathOnDataStore": "/in"}
    lines = finished(client, READ, arguments=["$AZUREML_DATAREFERENCE_d"], dataReferences={"d": reference})
    assert lines == ["1,2 3,4 True"]


def test_a_command_finds_its_data(client):
    """A shell command expands the variable by itself; a file is delivered as a file, and where it was asked for."""
    reference = {"dataStoreName": STORE, "mode": "download", "pathOnDataStore": "in/a.csv", "pathOnCompute": "x/y.csv"}
    command = "cat $AZUREML_DATAREFERENCE_d x/y.csv"
    assert finished(client, "", script="", command=command, dataReferences={"d": reference}) == ["1,21,2"]


def test_a_mounted_folder_is_written_through(client):
    """What a run writes into a mount is a blob, though the folder was not there before."""
    reference = {"dataStoreName": STORE, "pathOnDataStore": "new/folder"}
    finished(
        client,
        "import os\nopen(os.environ['AZUREML_DATAREFERENCE_d'] + '/f', 'w').write('w')",
        dataReferences={"d": reference},
    )
    assert blob(client, "new/folder/f") == "w"


def test_an_upload_keeps_what_is_there_unless_it_may_not(client):
    """Files are uploaded after the run; one that is there already stays, and the log says so, without `overwrite`."""
    script = "import os, sys\nfor n in 'ab': open(f'up/{n}', 'w').write(sys.argv[1])"
    reference = {"dataStoreName": STORE, "mode": "upload", "pathOnDataStore": "up", "pathOnCompute": "up"}
    finished(client, script, arguments=["first"], dataReferences={"d": reference})
    client.emulator.call("DELETE", f"{BLOBS}/up/b")
    log = finished(client, script, arguments=["second"], dataReferences={"d": reference})
    assert (blob(client, "up/a"), blob(client, "up/b")) == ("first", "second")
    assert "'up/a'" in log[-1]
    assert "overwrite" in log[-1]
    finished(client, script, arguments=["third"], dataReferences={"d": {**reference, "overwrite": True}})
    assert blob(client, "up/a") == "third"


def test_inputs_and_outputs_of_azureml_core_are_delivered(client):
    """`data` is read by its own variable and placeholder; `outputData` is mounted or uploaded below the run's id."""
    script = (
        "import os, sys\nwhere, m, u = sys.argv[1:]\n"
        "print(open(os.environ['mine'] + '/a.csv').read(), os.environ['uri'], where == os.environ['mine'])\n"
        "open(m + '/f', 'w').write('mounted'); open(u + '/f', 'w').write(os.environ['AZUREML_RUN_ID'])\n"
    )
    path = {"dataPath": {"datastoreName": STORE, "relativePath": "in"}}
    uri = f"azureml://datastores/{STORE}/paths/in/a.csv"
    inputs = {
        "i": {"dataLocation": path, "mechanism": "Mount", "environmentVariableName": "mine"},
        "uri": {"dataLocation": {"uri": {"path": uri, "isFile": True}}, "mechanism": "Direct"},
    }
    outputs = {
        "m": {"outputLocation": {"dataPath": {"datastoreName": STORE, "relativePath": "o/{run-id}/{output-name}"}}},
        "u": {"mechanism": "Upload", "additionalOptions": {"pathOnCompute": "up/here"}},
    }
    names = ["DatasetConsumptionConfig:i", "DatasetOutputConfig:m", "DatasetOutputConfig:u"]
    run_id = client.start(script, arguments=names, data=inputs, outputData=outputs)
    assert client.wait(run_id)["status"] == "Completed", client.log(run_id)
    assert client.log(run_id) == f"1,2 {uri} True\n"
    assert blob(client, f"o/{run_id}/m/f") == "mounted"
    assert blob(client, f"azureml/{run_id}/u/f") == run_id


def test_data_that_is_not_there_fails_the_run_by_name(client):
    """A download from nowhere is no empty folder."""
    reference = {"dataStoreName": STORE, "mode": "download", "pathOnDataStore": "no/where"}
    run = client.wait(client.start("print('ran')", dataReferences={"d": reference}))
    assert run["status"] == "Failed"
    assert "no/where" in run["error"]["error"]["message"]


OK = {"dataStoreName": STORE}


@pytest.mark.parametrize(
    ("configuration", "status", "named"),
    [
        ({"dataReferences": {"d": {**OK, "mode": "teleport"}}}, 501, "teleport"),
        ({"dataReferences": {"d": {**OK, "pathOnCompute": "/abs"}}}, 501, "/abs"),
        ({"dataReferences": {"d": {**OK, "pathOnCompute": "../up"}}}, 501, "../up"),
        ({"dataReferences": {"d": {"dataStoreName": "nowhere"}}}, 404, "nowhere"),
        ({"dataReferences": {"a-b": OK}}, 400, "a-b"),
        ({"dataReferences": {"d": {}}}, 400, "dataStoreName"),
        ({"data": {"d": {"dataLocation": {"dataset": {"id": "1"}}}}}, 501, "data.d"),
        ({"data": {"d": {}}}, 400, "data.d"),
        ({"data": {"d": {"dataLocation": {"uri": {"path": "https://elsewhere/x"}}}}}, 400, "elsewhere"),
        ({"outputData": {"o": {"mechanism": "link"}}}, 501, "link"),
        ({"outputData": {"o": {"additionalOptions": {"registrationOptions": {"name": "x"}}}}}, 501, "outputData.o"),
        ({"dataCaches": [{"datasetId": "1"}]}, 501, "dataCaches"),
        ({"environment": {"python": {"baseCondaEnvironment": "x"}}}, 501, "baseCondaEnvironment"),
        ({"environment": {"docker": {"baseDockerfile": "FROM x"}}}, 501, "baseDockerfile"),
        ({"environment": {"r": {"rVersion": "4"}}}, 501, "environment.r"),
        ({"environment": {"spark": {"packages": [{}]}}}, 501, "spark.packages"),
        ({"amlCompute": {"vmSize": "x"}}, 501, "vmSize"),
        ({"credentialPassthrough": True}, 501, "credentialPassthrough"),
        ({"anything": {"else": 1}}, 501, "anything"),
        ({"environment": {"name": "AzureML-Minimal"}}, 400, "AzureML-Minimal"),
        ({"environment": {"assetId": "azureml:absent:1"}}, 404, "absent"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(client, configuration, status, named):
    """No member is accepted and then ignored: the answer names it, and nothing starts."""
    answer = client.post("print()", **configuration)
    assert answer.status_code == status, answer.text
    assert named in answer.json()["error"]["message"]


def test_what_azureml_core_sends_by_default_is_taken():
    """The members that the SDK sends with every run, at their defaults, refuse nothing."""
    members.check(
        {"configuration": SENT_BY_THE_SDK, "snapshotId": "x", "targetDetails": None, "telemetryValues": {"a": 1}}
    )
    assert data.read(SENT_BY_THE_SDK, "run") == ()


def test_no_rule_is_shadowed_by_another():
    """Members compare without regard to case, so no two rules of an object may differ by case only."""

    def walk(rules):
        assert len({name.casefold() for name in rules}) == len(rules)
        for rule in rules.values():
            if isinstance(rule, dict):
                walk(rule)

    walk(members.DEFINITION)


def test_an_unknown_member_is_refused_at_any_depth():
    """A member that the specification does not have is refused where it stands."""
    with pytest.raises(Fault, match=r"configuration\.history\.colour"):
        members.check({"configuration": {"history": {"colour": "red"}}})


SENT_BY_THE_SDK = json.loads(
    """
    {"script": "main.py", "arguments": [], "target": "cpu", "framework": "Python", "communicator": "None",
    "maxRunDurationSeconds": null, "nodeCount": 1, "priority": null, "environment": {"name": "x", "version": null,
    "environmentVariables": {"EXAMPLE_ENV_VAR": "EXAMPLE_VALUE"}, "python": {"userManagedDependencies": false,
    "interpreterPath": "python", "condaDependenciesFile": null, "baseCondaEnvironment": null, "condaDependencies":
    {"name": "project_environment", "dependencies": ["python=3.10.18", {"pip":
    ["--find-links https://packages.example/simple/index.html", "--extra-index-url https://packages.example/simple",
    "a"]}], "channels": ["anaconda", "conda-forge"]}}, "docker": {"enabled": false, "baseImage":
    "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04:20251002.v1", "baseDockerfile": null, "buildContext":
    null, "sharedVolumes": true, "shmSize": "2g", "arguments": [], "baseImageRegistry": {"address": null,
    "username": null, "password": null, "registryIdentity": null}, "platform": {"os": "Linux", "architecture":
    "amd64"}}, "spark": {"repositories": [], "packages": [], "precachePackages": true}, "databricks":
    {"mavenLibraries": [], "pypiLibraries": [], "rcranLibraries": [], "jarLibraries": [], "eggLibraries": []},
    "r": null, "inferencingStackVersion": null, "assetId": null}, "history": {"outputCollection": true,
    "snapshotProject": true, "directoriesToWatch": ["logs"]}, "spark": {"configuration": {"spark.app.name":
    "Azure ML Experiment", "spark.yarn.maxAppAttempts": 1}}, "docker": {"useDocker": false, "sharedVolumes": true,
    "arguments": [], "shmSize": "2g"}, "hdi": {"yarnDeployMode": "cluster"}, "tensorflow": {"workerCount": 1,
    "parameterServerCount": 1}, "mpi": {"processCountPerNode": 1, "nodeCount": 1}, "pytorch":
    {"communicationBackend": "nccl", "processCount": null, "nodeCount": 1}, "paralleltask":
    {"maxRetriesPerWorker": 0, "workerCountPerNode": 1, "terminalExitCodes": null}, "dataReferences": {}, "data":
    {}, "datacaches": [], "outputData": {}, "sourceDirectoryDataStore": null, "amlcompute": {"vmSize": null,
    "vmPriority": null, "retainCluster": false, "name": null, "clusterMaxNodeCount": null},
    "autoClusterComputeSpecification": null, "kubernetescompute": {"instanceType": null}, "credentialPassthrough":
    false, "command": "", "environmentVariables": {}, "applicationEndpoints": {}}
    """
)
