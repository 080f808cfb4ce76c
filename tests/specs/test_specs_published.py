"""What client and emulator say to each other, judged by the OpenAPI files that Microsoft published.

The files are those of the 2019-09-30 data plane and of Resource Manager's 2019-11-01 (2021-07-01 for what is newer).
The folder `published` has their facts without their text (tools/published.py).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from fastapi.routing import APIRoute
from in_process import Exchange, running
from openapi import Operation, Specification, argument_error, arguments
from specs_conversation import Conversation

ROOT = Path(__file__).parents[2]
SPECS, WHOLE = Path(__file__).parent / "published", ROOT.parent / "shared" / "azure" / "specs"
ML = SPECS / "machinelearningservices"
PROVIDER = "Microsoft.MachineLearningServices"
FILES = {
    "": [ML / "data-plane" / PROVIDER / "preview" / "2019-09-30" / f"{name}.json"
         for name in ("execution", "runHistory", "artifact", "modelManagement")],
    "2019-11-01": [ML / "resource-manager" / PROVIDER / "stable" / "2019-11-01" / "machineLearningServices.json"],
    "2021-07-01": [ML / "resource-manager" / PROVIDER / "stable" / "2021-07-01" / "machineLearningServices.json"],
    "2021-04-01": [SPECS / "resources/resource-manager/Microsoft.Resources/stable/2019-10-01/resources.json"],
}  # fmt: skip

# Where the published files say nothing: pattern of method, path and api-version, and what the request is.
UNPUBLISHED = {
    r"\w+ /_blob/.*": "blob storage, through signatures that the service hands out",
    r"\w+ /_score/.*": "the user's own scoring script",
    r"GET /discovery ": "asked without a token; every client of Microsoft's does",
    r"GET /subscriptions 2022-12-01": "Resource Manager's own list of subscriptions",
    r"\w+ /subscriptions/.* 2023-10-01": "Resource Manager's v2 resources, newer than the files that are at hand",
    r"GET .*/locations/\w+/computeOperationsStatus/.*": "an address that the service hands out",
    r"\w+ /content/v2.0/.*": "snapshots: only Microsoft's own SDK tells of them",
    r"POST /metric/v2.0/.*": "the metric service: only the SDK tells of it",
    r"GET /mlflow/v1.0/.*/api/2.0/mlflow/runs/get .*": "MLflow's own REST API: the last value of every metric",
    r"(GET|PATCH) /history/.*/local/runs/[^/]+(/details)? .*": "runs by their ids alone, as the v2 SDK reads them",
    r"POST /history/.*/batchrundata v1.0": "many runs in one call, of the newer run history",
    r"GET /history/.*/computes/[^/]+/runs .*": "runs of a compute, of the newer run history",
    r"GET /artifact/.*/artifacts/prefix/contentinfo/.*": "the SDK's spelling of .../prefix/contentinfo?path=",
}


@dataclass(frozen=True)
class Difference:
    """A difference from the published files that is meant.

    :param operation: pattern of operation ids.
    :param side: request or answer.
    :param what: pattern of the judgement.
    :param why: the reason.
    """

    operation: str
    side: str
    what: str
    why: str


STRANGER = "is no member that the specification has"
SINCE = "the service has grown since these files: recordings of it have the member (see tests/shapes)"
PERSON = [f"createdBy/{name}" for name in ("upn", "userAltSecId", "userIdp", "userIss", "userPuId")]
RECORDED = {
    "Runs": [
        *PERSON, "actionUris", "cancelationReason", "completeUri", "compute", "computeDuration", "computeRequest",
        "createdBy", "currentAttemptId", "currentComputeTime", "dataContainerId", "displayName", "duration",
        "effectiveStartTimeUtc", "inputDatasets", "inputs", "jobSpecification", "lastModifiedBy", "lastModifiedUtc",
        "lastStartTimeUtc", "outputDatasets", "outputs", "parameters", "parentRunUuid", "primaryMetricName",
        "queueingInfo", "retainForLifetimeOfWorkspace", "rootRunId", "rootRunUuid", "runNumber", "runTypeV2", "runUuid",
        "scheduleId", "services", "settings", "statusRevision", "uniqueChildRunComputeTargets", "userId",
    ],
    "Workspaces": [
        "etag", "kind", "systemData",
        *(f"properties/{name}" for name in (
            "EnableSoftwareBillOfMaterials", "allowRoleAssignmentOnRG", "enableDataIsolation",
            "enableServiceSideCMKEncryption", "hbiWorkspace", "imageBuildCompute", "ipAllowlist",
            "linkedModelInventoryArmId", "managedNetwork", "mlFlowTrackingUri", "notebookInfo", "privateLinkCount",
            "publicNetworkAccess", "sasGetterUri", "sdkTelemetryAppInsightsKey", "serverlessComputeSettings",
            "softDeleteEnabled", "storageHnsEnabled", "systemDatastoresAuthMode", "tenantId", "v1LegacyMode",
        )),
    ],
    "Compute": [
        "disableLocalAuth", "provisioningWarnings",
        *(f"properties/{name}" for name in (
            "autologgerSettings", "containers", "customServices", "dataDisks", "dataMounts", "enableBatchPrivateLink",
            "enableNodePublicIp", "enableOSPatching", "enableRootAccess", "enableSSO", "imageSku", "imageVersion",
            "isolatedNetwork", "lastOperation/operationTrigger", "osImageMetadata", "osType", "propertyBag",
            "releaseQuotaOnStop", "schedules", "updateStatus", "versions", "virtualMachineImage",
        )),
    ],
}  # fmt: skip
DIFFERENCES = [
    Difference(
        "Runs_.*", "answer", rf"(value/\*/|runs/run-v1/)?({'|'.join(RECORDED['Runs'])}): {STRANGER}", SINCE
    ),
    Difference(
        "Runs_.*", "answer",
        r"(value/\*/|runs/run-v1/)?(createdFrom|description|error|name|parentRunId|runDefinition|startTimeUtc|token"
        r"|tokenExpiryTimeUtc): None is not .*",
        "the service answers null for what has no value, where the files have no null",
    ),
    Difference(
        "Runs_GetDetails", "answer", f"(createdTimeUtc|jobCost|submittedBy): {STRANGER}", SINCE,
    ),
    Difference(
        "Runs_Patch", "request", f"displayName: {STRANGER}", "the run history calls it so since"
    ),
    Difference(
        "Experiments_GetByQuery", "request", f"viewType: {STRANGER}", "newer: leaves archived experiments out, or not"
    ),
    Difference(
        "RunMetrics_.*", "request|answer", r"(values?/\*/)?cells/\*/acc: 0.5 is not of type 'object'",
        "the specification writes any JSON value as object",
    ),
    Difference(
        "MLModels_Patch", "request", r"\*/value: 'd' is not of type 'object'",
        "likewise: the value of a JSON Patch is whatever the member is",
    ),
    Difference(
        "MLModels_.*", "answer", rf"(value/\*/)?(createdBy|derivedModelIds): {STRANGER}", "newer: the SDK reads them"
    ),
    Difference(
        "(MLModels|Services)_.*", "answer", f"(correlation|target): {STRANGER}",
        "errors of model management are seen with them, in their flat envelope",
    ),
    Difference(
        "(MachineLearningCompute|Workspaces)_.*", "answer", f"error/(additionalInfo|target): {STRANGER}",
        "Resource Manager's common error, which all its services answer",
    ),
    Difference(
        "Workspaces_.*", "answer", rf"(value/\*/)?({'|'.join(RECORDED['Workspaces'])}): {STRANGER}", SINCE
    ),
    Difference(
        "(MachineLearningCompute|Compute)_.*", "answer",
        rf"(value/\*/)?properties/({'|'.join(RECORDED['Compute'])}): {STRANGER}", SINCE,
    ),
    Difference(
        "(MachineLearningCompute|Compute)_.*", "answer",
        r"(value/\*/)?properties/properties/(personalComputeInstanceSettings|setupScripts|virtualMachineImage)"
        r": None is not of type 'object'",
        "the service answers null for what has no value, where the files have no null",
    ),
    Difference(
        "(MachineLearningCompute|Compute)_Get", "answer", r"\.: None is not of type 'object'",
        "the 404 of a compute has no body",
    ),
    Difference(
        "MachineLearningCompute_Update", "answer", "status 202", "as recorded of the service",
    ),
    Difference(
        "(MachineLearningCompute|Compute)_.*", "answer",
        r"(value/\*/)?properties/resourceId: None is not of type 'string'",
        "the v1 SDK needs the member, and a managed compute has no resource of its own",
    ),
    Difference(
        "MachineLearningCompute_Delete", "answer", "status 204",
        "what was not there: seen with newer api-versions, and the SDKs take it",
    ),
]  # fmt: skip
# What the client calls its requests when they are none of its resources' own.
NOT_RESOURCES = {"get a token", "discovery"}


@dataclass(frozen=True)
class Judgement:
    """Something that is not as published."""

    operation: str
    side: str
    what: str

    def __str__(self) -> str:
        return f"{self.operation} {self.side}: {self.what}"


@pytest.fixture(scope="module")
def conversation(tmp_path_factory):
    """Everything said once."""
    with running(tmp_path_factory.mktemp("emulator")) as site:
        held = Conversation(site, tmp_path_factory.mktemp("files"))
        held.hold()
        yield held


@cache
def published(path: Path) -> Specification:
    return Specification(path)


def version_of(exchange: Exchange) -> str:
    return parse_qs(urlsplit(exchange.url).query).get("api-version", [""])[0]


def operation_of(exchange: Exchange) -> tuple[Operation, Specification] | None:
    """Return the published operation that an exchange is one of."""
    version = version_of(exchange) if exchange.path.casefold().startswith("/subscriptions") else ""
    for path in FILES.get(version, []):
        for operation in published(path).operations:
            if operation.method == exchange.method and operation.path.fullmatch(exchange.path):
                return operation, published(path)
    return None


def judgements(exchanges, side: str) -> set[Judgement]:
    """Return whatever is not as published, meant or not. Requests that the emulator refuses are refused on purpose."""
    found = set()
    for exchange in exchanges:
        if known := operation_of(exchange):
            judge = request_problems if side == "request" else answer_problems
            if side == "answer" or exchange.status < 400:
                found |= {Judgement(known[0].name, side, what) for what in judge(exchange, *known)}
    return found


def explained(judgement: Judgement) -> list[Difference]:
    return [
        difference
        for difference in DIFFERENCES
        if re.fullmatch(difference.operation, judgement.operation)
        and re.fullmatch(difference.side, judgement.side)
        and re.fullmatch(difference.what, judgement.what)
    ]


def request_problems(exchange: Exchange, operation: Operation, specification: Specification) -> Iterator[str]:
    yield from argument_problems(exchange, operation)
    for parameter in operation.parameters_in("formData").values():
        if f'name="{parameter["name"]}"'.encode() not in exchange.body:
            yield f"no part {parameter['name']}"
    for parameter in operation.parameters_in("body").values():
        if exchange.headers.get("Content-Type", "").startswith("application/json"):
            yield from specification.judge(json.loads(exchange.body), parameter["schema"], request=True)
        elif parameter.get("required") and not exchange.body:
            yield "no body"


def argument_problems(exchange: Exchange, operation: Operation) -> Iterator[str]:
    try:
        given = list(arguments(operation, exchange.url))
    except KeyError as error:
        yield f"no parameter {error}"
        return
    for name, parameter, value in given:
        if problem := argument_error(parameter, value):
            yield f"{name}: {problem}"
    present = {name.casefold() for name, _, _ in given}
    for name, parameter in operation.parameters_in("query").items():
        if parameter.get("required") and name.casefold() not in present:
            yield f"{name} is required"


def answer_problems(exchange: Exchange, operation: Operation, specification: Specification) -> Iterator[str]:
    try:
        schema = operation.schema_of_answer(exchange.status)
    except KeyError:
        yield f"status {exchange.status}"
        return
    if schema is not None and schema.get("type") != "file":
        yield from specification.judge(json.loads(exchange.answer or b"null"), schema, request=False)


@pytest.mark.parametrize("side", ["request", "answer"])
def test_everything_said_is_as_published(conversation, side):
    """Arguments and bodies of requests, statuses and bodies of answers; what is meant to differ is in the table."""
    found = judgements(conversation.site.exchanges, side)
    assert sorted(str(judgement) for judgement in found if not explained(judgement)) == []


def test_every_difference_in_the_table_is_there(conversation):
    """The table has no line that is no longer needed."""
    found = [*judgements(conversation.site.exchanges, "request"), *judgements(conversation.site.exchanges, "answer")]
    used = {difference for judgement in found for difference in explained(judgement)}
    assert [difference.what for difference in DIFFERENCES if difference not in used] == []


def test_every_request_is_published_or_known_not_to_be(conversation):
    """No path is asked for that nobody has heard of; and no line of that table is unneeded."""
    asked = {f"{e.method} {e.path} {version_of(e)}" for e in conversation.site.exchanges if not operation_of(e)}
    known = {pattern: [what for what in asked if re.fullmatch(pattern, what)] for pattern in UNPUBLISHED}
    assert sorted(asked - {what for found in known.values() for what in found}) == []
    assert [pattern for pattern, found in known.items() if not found] == []


def test_every_operation_of_the_client_was_sent(conversation):
    """By the names that stand in its source: what the client learns later is judged here as well."""
    source = "".join(path.read_text() for path in (ROOT / "airflow_azml" / "client").glob("*.py"))
    named = set(re.findall(r'operation="([^"]+)"', source)) - NOT_RESOURCES
    verbs = {f"{verb} compute" for verb in ("start", "stop", "restart")}
    assert sorted((named | verbs) - conversation.operations) == []


def test_every_published_route_of_the_emulator_was_answered(conversation):
    """Each route that the emulator has on a published path was asked, with success."""
    answered = {known[0].name for e in conversation.site.exchanges if e.status < 400 and (known := operation_of(e))}
    routes = [route for route in conversation.site.http.app.routes if isinstance(route, APIRoute)]
    offered = {
        operation.name
        for path in [*FILES[""], *FILES["2019-11-01"]]
        for operation in published(path).operations
        for route in routes
        if operation.method in route.methods and shape(route.path) == shape(operation.template)
    }
    assert len(offered) > 40
    assert sorted(offered - answered) == []


def shape(template: str) -> str:
    """A path without the names of its parameters, which the files and the emulator choose differently."""
    return re.sub(r"\{[^}]+\}", "{}", template).casefold()


@pytest.mark.skipif(not WHOLE.is_dir(), reason=f"the published OpenAPI files are not on this machine ({WHOLE})")
def test_the_facts_are_those_of_the_published_files():
    """What stands in `published` is what the tool makes of the files."""
    command = [sys.executable, str(ROOT / "tools" / "published.py"), str(WHOLE), "--check"]
    assert subprocess.run(command, check=False, timeout=120).returncode == 0
