"""One well-formed request body per route, as clients send them; the properties twist them.

They name what `populate` in conftest.py makes. Definitions of runs name a compute that is not there, deployments a code
that is not there: everything of them is read, and nothing is started.
"""

from __future__ import annotations

import json
from typing import Any

from emulator_process import WORKSPACE

RUN, EXPERIMENT, MODEL, ENDPOINT, CLUSTER = "run-1", "exp", "m", "ep-1", "cpu"
CONTAINER = "azureml"
SNAPSHOT = "11111111-1111-4111-8111-111111111111"
METRIC = {"metricId": SNAPSHOT, "createdUtc": "2026-01-01T00:00:00Z", "step": 1, "data": {"acc": 0.5}}
METRIC_2019 = {
    "metricId": SNAPSHOT, "name": "acc", "metricType": "azureml.v1.scalar", "createdUtc": "2026-01-01T00:00:00Z",
    "schema": {"numProperties": 1, "properties": [{"propertyId": "acc", "name": "acc", "type": "double"}]},
    "numCells": 1, "cells": [{"acc": 0.5}],
}  # fmt: skip
CREATE_RUN = {
    "runId": RUN, "name": "n", "displayName": "d", "description": "x", "tags": {"a": "b"}, "properties": {"p": "q"},
    "status": "Running", "parentRunId": None, "hidden": False, "target": CLUSTER, "runType": "azureml.scriptrun",
}  # fmt: skip
QUERY = {"filter": '(Status eq Running) and Tags/a eq "b"', "orderBy": "CreatedUtc desc", "top": 2}
EVENT = {"name": "Microsoft.MachineLearning.Run.Warning", "data": {"runId": RUN, "source": "s", "message": "m"}}
CLUSTER_BODY = {
    "location": "eastus",
    "tags": {"a": "b"},
    "properties": {
        "computeType": "AmlCompute",
        "description": "d",
        "properties": {
            "vmSize": "STANDARD_D2_V2", "vmPriority": "Dedicated", "remoteLoginPortPublicAccess": "NotSpecified",
            "scaleSettings": {"minNodeCount": 0, "maxNodeCount": 1, "nodeIdleTimeBeforeScaleDown": "PT5M"},
            "userAccountCredentials": {"adminUserName": "u", "adminUserPassword": "p"},
        },
    },
}  # fmt: skip
INSTANCE_BODY = {
    "location": "eastus",
    "properties": {"computeType": "ComputeInstance", "properties": {"vmSize": "STANDARD_D2_V2"}},
}
ENDPOINT_BODY = {
    "location": "eastus", "tags": {"a": "b"}, "identity": {"type": "SystemAssigned"}, "kind": "Managed",
    "properties": {"authMode": "Key", "traffic": {}, "properties": {"a": "b"}, "description": "d"},
}  # fmt: skip
DEPLOYMENT_BODY = {
    "location": "eastus", "tags": {"a": "b"}, "sku": {"name": "Default", "capacity": 1},
    "properties": {
        "endpointComputeType": "Managed", "model": f"{WORKSPACE}/models/{MODEL}/versions/1",
        "environmentId": f"{WORKSPACE}/environments/e/versions/1", "instanceType": "Standard_DS3_v2",
        "codeConfiguration": {"codeId": f"{WORKSPACE}/codes/nowhere/versions/1", "scoringScript": "score.py"},
        "environmentVariables": {"A": "b"}, "requestSettings": {"requestTimeout": "PT5S"},
        "scaleSettings": {"scaleType": "Default"}, "livenessProbe": {"period": "PT10S"},
    },
}  # fmt: skip
REGISTRATION = {
    "name": MODEL, "url": "aml://asset/{asset}", "mimeType": "application/json", "unpack": False, "runId": RUN,
    "experimentName": EXPERIMENT, "datasets": [], "kvTags": {"a": "b"}, "properties": {"p": "q"},
    "framework": "ScikitLearn", "frameworkVersion": "1.5", "description": "d",
}  # fmt: skip
VERSION_V2 = {
    "properties": {
        "modelUri": f"azureml://jobs/{RUN}/outputs/artifacts/paths/outputs/model.txt", "modelType": "custom_model",
        "tags": {"a": "b"}, "properties": {"p": "q"}, "description": "d", "isAnonymous": False, "isArchived": False,
        "flavors": {},
    }
}  # fmt: skip
TREE = {
    "name": "", "type": "Directory", "hash": "0",
    "children": {"main.py": {"name": "main.py", "type": "File", "hash": "0", "children": {}}},
}  # fmt: skip
NODE = {"FullName": "main.py", "BlobUri": "https://testserver/_blob/azuremllocal/azureml/main.py?sig=x", "FileSize": 1}
DEFINITION = {
    "configuration": {
        "script": "main.py", "arguments": ["1"], "framework": "Python", "communicator": "None", "target": "nowhere",
        "nodeCount": 1, "maxRunDurationSeconds": 60, "environmentVariables": {"A": "b"},
        "environment": {
            "name": "e", "environmentVariables": {"A": "b"}, "docker": {"baseImage": "x"},
            "python": {
                "interpreterPath": "python", "userManagedDependencies": False,
                "condaDependencies": {"name": "c", "dependencies": ["python=3.11", {"pip": ["numpy"]}]},
            },
        },
        "history": {"outputCollection": True, "directoriesToWatch": ["logs"]},
    },
    "parentRunId": None,
}  # fmt: skip

# By the name of the handler.
BODIES: dict[str, list[Any]] = {
    "add_fault": [{"method": "GET", "path": "x", "times": 1, "status": 500, "retryAfter": 1, "afterWork": True}],
    "set_speed": [{"speed": "fast", "compute": 0, "node": 0, "endpoint": 0, "retryAfter": 0}],
    "put_compute": [CLUSTER_BODY, INSTANCE_BODY],
    "patch_compute": [
        {"properties": {"scaleSettings": {"minNodeCount": 0, "maxNodeCount": 2}}},
        {"properties": {"properties": {"scaleSettings": {"maxNodeCount": 2}}}},
    ],
    "start_pending_upload": [{"pendingUploadType": "TemporaryBlobReference"}],
    "code_versions_put": [
        {"properties": {"codeUri": "https://testserver/_blob/azuremllocal/azureml/src", "isAnonymous": True,
                        "properties": {"hash_sha256": "0", "hash_version": 202208}}},
    ],
    "environment_versions_put": [
        {"properties": {"image": "python", "condaFile": "dependencies: [python]", "tags": {"a": "b"}}},
    ],
    "get_artifacts": [{"artifactIds": [f"ExperimentRun/dcid.{RUN}/outputs/model.txt"]}],
    "create_empty_artifacts": [{"paths": [{"path": "outputs/x"}]}],
    "create_asset": [{"name": MODEL, "artifacts": [{"prefix": f"ExperimentRun/dcid.{RUN}/outputs"}], "runid": RUN}],
    "patch_asset": [[{"op": "replace", "path": "/kvTags", "value": {"a": "b"}}]],
    "register_model": [REGISTRATION],
    "patch_model": [[{"op": "replace", "path": "/kvTags", "value": {"a": "b"}}, {"op": "remove", "path": "/kvTags/a"}]],
    "put_container": [{"properties": {"description": "d", "tags": {"a": "b"}, "isArchived": False}}],
    "model_versions_put": [VERSION_V2],
    "snapshot_run": [{**DEFINITION, "snapshotId": SNAPSHOT}],
    "start_snapshot_run": [{**DEFINITION, "snapshotId": SNAPSHOT}],
    "get_places": [{"fileNames": ["main.py"]}],
    "create_snapshot": [{"ParentSnapshotId": None, "Tags": None, "Properties": {}, "DirTreeNode": TREE,
                         "FileRevisionList": {"FileNodes": [NODE]}}],
    "patch_run": [CREATE_RUN],
    "patch_runs": [{"runs": [CREATE_RUN]}],
    "delete_tags": [["a"]],
    "delete_experiment_tags": [["a"]],
    "post_event": [EVENT, {**EVENT, "name": "Microsoft.MachineLearning.Run.Error",
                           "data": {"runId": RUN, "errorResponse": {"error": {"code": "UserError"}}}}],
    "post_events": [{"events": [EVENT]}],
    "query_runs": [QUERY],
    "query_experiments": [{"filter": "Name eq exp", "viewType": "ActiveOnly", "top": 2}],
    "query_metrics": [{"filter": "Name eq acc", "top": 1}],
    "runs_by_ids": [{"runIds": [RUN, "nobody"]}],
    "batch_run_data": [{"requests": {"k": {"runId": RUN, "selectRunMetadata": True, "selectRunDefinition": True}}}],
    "run_data": [{"runId": RUN, "selectRunMetadata": True}],
    "modify_experiment": [{"tags": {"a": "b"}, "description": "d", "archive": False}],
    "list_metrics": [{"metricNamespace": "", "continuationToken": None}],
    "get_full": [{"metricName": "acc", "continuationToken": "0", "startTime": "2026-01-01T00:00:00Z"}],
    "get_sample": [{"metricName": "acc", "endTime": "2026-01-01T00:00:00Z"}],
    "post_batch": [{"values": [{"name": "acc", "columns": {"acc": "double"}, "value": [METRIC],
                                "properties": {"uxMetricType": "azureml.v1.scalar"}}], "reportErrors": True}],
    "post_metric": [METRIC_2019],
    "post_metrics": [{"values": [METRIC_2019]}],
    "create_experiment": [{"name": "exp-2", "tags": [{"key": "a", "value": "b"}]}],
    "search_experiments": [{"max_results": 1}],
    "create_run": [{"experiment_id": "0", "run_name": "n", "start_time": 1, "tags": [{"key": "a", "value": "b"}]}],
    "update_run": [{"run_id": RUN, "status": "FINISHED", "run_name": "n", "end_time": 1}],
    "log_metric": [{"run_id": RUN, "key": "acc", "value": 0.5, "timestamp": 1, "step": 1}],
    "log_parameter": [{"run_id": RUN, "key": "p", "value": "1"}],
    "log_batch": [{"run_id": RUN, "metrics": [{"key": "acc", "value": "NaN", "timestamp": 1, "step": 1}],
                   "params": [{"key": "q", "value": "1"}], "tags": [{"key": "a", "value": "b"}]}],
    "set_tag": [{"run_id": RUN, "key": "a", "value": "b"}],
    "delete_tag": [{"run_id": RUN, "key": "a"}],
    "delete_run": [{"run_id": RUN}],
    "restore_run": [{"run_id": RUN}],
    "search_runs": [{"experiment_ids": ["0"], "filter": "metrics.acc > 0.1 and tags.a = 'b'", "max_results": 1,
                     "run_view_type": "ALL", "order_by": ["attributes.start_time DESC"], "page_token": "0"}],
    "put_endpoint": [ENDPOINT_BODY],
    "regenerate_keys": [{"keyType": "Primary", "keyValue": None}],
    "put_deployment": [DEPLOYMENT_BODY],
    "get_logs": [{"tail": 10, "containerType": "InferenceServer"}],
    "score": [{"data": [1]}],
}  # fmt: skip

# Strings that the emulator reads in ways of its own.
TEXTS = [
    "", " ", "null", "\0", "..", "../../etc/passwd", "a/b", "/", "%", "%00", "a:b:c", ":", "m:1",
    "m:99999999999999999999", "-1",
    "1", "٣", "²", "1e999", "NaN", "Infinity", "9" * 5000, "x" * 300,
    "é", "\U0001f600", "\ud800", "'", '"',
    "(((", "2026-01-01", "2026-13-45T99:99:99Z", "2026-01-01T00:00:00+99:99", "0001-01-01T00:00:00+23:59",
    "PT5M", "PT", "P1Y",
    "PT9999999999999999999S", "bytes=0-", "bytes=5-1", "Status eq Running", "Tags/a ne null", "a eq", "(a eq b",
    "a gt 1", "azureml:m:1", "azureml://jobs/run-1/outputs/artifacts/paths/", "azureml://datastores/x/paths/..", "aml://asset/x",
    "aml://artifact/ExperimentRun/dcid.run-1/outputs", "https://[", "https://testserver/_blob/azuremllocal/azureml/x",
    "Running", "Completed", "createdUtc desc", "a b c", "*", "<xml>", "W10=", "WzAsIiIsIngiXQ==", "true",
    json.dumps({"a": 1}),
]  # fmt: skip
