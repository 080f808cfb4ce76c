"""Scoring scripts are served by azureml-inference-server-http itself: whatever it takes, deployments take."""

from __future__ import annotations

import pytest
import requests

HEADER = "azureml-model-deployment"
WITH_HEADERS = """
def init():
    pass

def run(data, request_headers):
    return {"data": data, "colour": request_headers["X-Colour"], "secret": request_headers.get("Authorization")}
"""
SCHEMA = """
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

def init():
    pass

@input_schema("numbers", StandardPythonParameterType([1, 2]))
@input_schema("factor", StandardPythonParameterType(3))
@output_schema(StandardPythonParameterType([3, 6]))
def run(numbers, factor):
    return [number * factor for number in numbers]
"""
RAW = """
from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse

def init():
    pass

@rawhttp
def run(request: AMLRequest):
    if request.method == "GET":
        return AMLResponse({"said": request.args["word"]}, int(request.args["status"]), json_str=True)
    return AMLResponse(request.get_data()[::-1], 200, {"Content-Type": "x/y", "X-Mine": "1"})
"""


def deployed(serving, name: str, script: str) -> str:
    """Deploy a script; return the address of its container behind the scoring host."""
    serving.endpoint(name)
    serving.deploy(name, "blue", script)
    serving.endpoint(name, traffic={"blue": 100})
    return f"{serving.emulator.url}/_score/{name}"


def test_run_may_take_the_headers(serving):
    """Headers of the request reach `run(data, request_headers)`; the key that opened the endpoint does not."""
    deployed(serving, "headers", WITH_HEADERS)
    assert serving.score("headers", [1], **{"X-Colour": "red"}).json() == {
        "data": "[1]", "colour": "red", "secret": None
    }  # fmt: skip


def test_run_may_be_decorated_with_schemas(serving):
    """`@input_schema` and `@output_schema`: parameters are parsed, a wrong body is a model error, swagger is served."""
    url = deployed(serving, "schemas", SCHEMA)
    assert serving.score("schemas", {"numbers": [1, 2], "factor": 5}).json() == [5, 10]
    wrong = serving.score("schemas", {"numbers": [1, 2]})
    assert (wrong.status_code, wrong.headers["ms-azureml-model-error-statuscode"]) == (424, "400")
    headers = {"Authorization": f"Bearer {serving.key('schemas')}"}
    swagger = requests.get(f"{url}/swagger.json", headers=headers, timeout=30).json()
    assert "numbers" in str(swagger["definitions"])


def test_run_may_take_the_raw_request(serving):
    """`@rawhttp`: method, query and bytes reach the script; its headers come back; another status than 200 is 424."""
    url = deployed(serving, "raw", RAW)
    headers = {"Authorization": f"Bearer {serving.key('raw')}"}
    answer = requests.post(f"{url}/score", data=b"\x00\xff", headers=headers, timeout=30)
    assert (answer.status_code, answer.content) == (200, b"\xff\x00")
    assert (answer.headers["Content-Type"], answer.headers["X-Mine"]) == ("x/y", "1")
    answer = requests.get(f"{url}/score", params={"word": "a", "status": 201}, headers=headers, timeout=30)
    assert (answer.status_code, answer.json()) == (424, {"said": "a"})
    assert answer.headers["ms-azureml-model-error-statuscode"] == "201"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("import absent_module\ndef init(): pass\ndef run(data): pass", "No module named 'absent_module'"),
        ("def init(): pass", "does not have a run() function defined"),
    ],
)
def test_a_script_that_cannot_start_fails_the_deployment(serving, until, script, reason):
    """The operation's error has the server's own words."""
    serving.endpoint("unstartable")
    answer = serving.begin("unstartable", "blue", script)
    operation = until(lambda: serving.ended(answer))
    assert (operation["status"], operation["error"]["code"]) == ("Failed", "ResourceNotReady")
    assert reason in operation["error"]["message"]


def test_an_environment_that_cannot_have_the_server_says_so(serving, until):
    """Packages that exclude the server fail the deployment, and the error names the server."""
    serving.endpoint("excluded")
    environment = {"image": "python", "condaFile": "dependencies: [{pip: [flask==0.1]}]"}
    environment_id = serving.put("/environments/excluding/versions/1", {"properties": environment})
    script = "def init(): pass\ndef run(data): pass"
    answer = serving.begin("excluded", "blue", script, environmentId=environment_id)
    operation = until(lambda: serving.ended(answer))
    assert (operation["status"], operation["error"]["code"]) == ("Failed", "ImageBuildFailure")
    assert "needs azureml-inference-server-http" in operation["error"]["message"]


def test_an_environment_with_a_dockerfile_is_refused(serving):
    """What Docker would have to build is a 501 that names the environment."""
    serving.endpoint("docker")
    body = {"properties": {"build": {"contextUri": "https://x/y", "dockerfilePath": "Dockerfile"}}}
    environment_id = serving.put("/environments/built/versions/1", body)
    answer = serving.begin("docker", "blue", "", environmentId=environment_id)
    assert answer.status_code == 501
    assert "built:1" in answer.json()["error"]["message"]
