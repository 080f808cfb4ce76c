"""The members of a run definition: which ones are read, which make no difference here, and which are refused by name.

A run must not pass here that would fail or do something else on Azure. So a member is either honoured, or it belongs
to another framework, another kind of compute or a container; any other member is refused unless it is empty.
"""

from __future__ import annotations

from typing import Any

from airflow_azml.emulator.http.faults import Fault

READ, INERT = "read", "makes no difference here"
EMPTY: tuple[Any, ...] = (None, "", False, [], {})
Rules = dict[str, Any]  # by member: READ, INERT, the values that are no request for anything, or the rules of an object


def _each(rule: Any, names: str) -> Rules:
    return dict.fromkeys(names.split(), rule)


# `RunDefinition` of the published specification of 2019, and what azureml-core 1.x sends beside it.
ENVIRONMENT: Rules = {
    **_each(READ, "name version assetId environmentVariables"),
    **_each(INERT, "inferencingStackVersion autoRebuild databricks"),
    **_each(EMPTY, "r"),
    "python": {
        **_each(READ, "interpreterPath userManagedDependencies condaDependencies condaDependenciesFile"),
        **_each(EMPTY, "baseCondaEnvironment"),
    },
    "docker": {
        **_each(READ, "baseImage"),
        **_each(EMPTY, "baseDockerfile buildContext"),
        **_each(INERT, "enabled sharedVolumes shmSize gpuSupport arguments platform baseImageRegistry"),
    },
    "spark": {**_each(EMPTY, "repositories packages"), **_each(INERT, "precachePackages")},
}
CONFIGURATION: Rules = {
    **_each(READ, "script command arguments framework communicator target jobName nodeCount maxRunDurationSeconds"),
    **_each(READ, "environmentVariables dataReferences data outputData"),
    **_each(INERT, "spark tensorflow mpi pytorch hdi parallelTask containerInstance kubernetesCompute"),
    **_each(EMPTY, "dataCaches sourceDirectoryDataStore resourceLayout commandReturnCodeConfig aiSuperComputer"),
    **_each(EMPTY, "instanceTypes priority identity credentialPassthrough useAbsolutePath exposedPorts"),
    **_each(EMPTY, "applicationEndpoints autoClusterComputeSpecification"),
    "autoPrepareEnvironment": (*EMPTY[:1], True),
    "amlCompute": {**_each(EMPTY, "vmSize vmPriority name clusterMaxNodeCount"), **_each(INERT, "retainCluster")},
    "docker": _each(INERT, "useDocker sharedVolumes shmSize arguments"),
    "history": {
        **_each(READ, "outputCollection directoriesToWatch"),
        **_each(INERT, "enableMLflowTracking snapshotProject"),
    },
    "environment": ENVIRONMENT,
}
DEFINITION: Rules = {
    **_each(READ, "snapshotId parentRunId runType"),
    **_each(INERT, "telemetryValues"),
    **_each(EMPTY, "targetDetails"),
    "configuration": CONFIGURATION,
}


def check(given: dict[str, Any], rules: Rules = DEFINITION, where: str = "") -> None:
    """Refuse a definition that asks for what the emulator does not do; the 501 names the member."""
    known = {name.casefold(): rule for name, rule in rules.items()}
    for name, value in given.items():
        rule = known.get(name.casefold(), EMPTY)
        if isinstance(rule, dict):
            check(value if isinstance(value, dict) else {}, rule, f"{where}{name}.")
        elif isinstance(rule, tuple) and value not in rule:
            raise Fault(501, "NotImplemented", f"The emulator does not honour '{where}{name}' of a run definition.")
