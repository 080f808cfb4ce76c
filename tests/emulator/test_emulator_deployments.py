"""Online deployments: real processes that come, are replaced, crash, come back and go."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from airflow_azml.emulator.endpoints.deployment_bodies import DEFAULTS

SCRIPT = """
import os

def init():
    print("hello from init")

def run(data):
    return {"pid": os.getpid(), "version": VERSION}
"""
ONE, TWO = "VERSION = 1" + SCRIPT, "VERSION = 2" + SCRIPT
MODEL_SCRIPT = """
import os, sys
from pathlib import Path

def init():
    global files
    root = Path(os.environ["AZUREML_MODEL_DIR"])
    files = {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}

def run(data):
    inherited = [name for name in os.environ if name.startswith("SECRET")]
    return {"files": files, "given": os.environ.get("GIVEN"), "inherited": inherited, "python": sys.executable}
"""
HEADER = "azureml-model-deployment"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def score(serving, endpoint: str, deployment: str) -> dict:
    answer = serving.score(endpoint, {}, **{HEADER: deployment})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_deployment_serves_and_its_update_replaces_the_process(serving, until):
    """The first PUT is 201 and serves; the second is 200, serves the new script and ends the old process."""
    serving.endpoint("updated")
    first = serving.begin("updated", "blue", ONE)
    assert (first.status_code, first.json()["properties"]["provisioningState"]) == (201, "Creating")
    properties = serving.wait("/onlineEndpoints/updated/deployments/blue")
    assert properties["scaleSettings"]["scaleType"] == "Default"
    assert serving.emulator.call("GET", first.headers["Azure-AsyncOperation"]).json()["status"] == "Succeeded"
    old = score(serving, "updated", "blue")
    assert (old["version"], alive(old["pid"])) == (1, True)
    assert serving.begin("updated", "BLUE", TWO).status_code == 201
    serving.wait("/onlineEndpoints/updated/deployments/blue")
    assert score(serving, "updated", "blue")["version"] == 2
    until(lambda: not alive(old["pid"]))
    listed = serving.emulator.arm("GET", "/onlineEndpoints/updated/deployments").json()["value"]
    assert [deployment["name"] for deployment in listed] == ["blue"]


def test_a_failing_init_fails_the_deployment_with_its_log(serving, until):
    """The operation's error and getLogs both hold the traceback; a failed update leaves the old process serving."""
    serving.endpoint("broken")
    script = "def init(): raise RuntimeError('no model here')\ndef run(data): pass"
    answer = serving.begin("broken", "blue", script)
    operation = until(lambda: serving.ended(answer))
    assert operation["status"] == "Failed"
    assert operation["error"]["code"] == "ResourceNotReady"
    assert "RuntimeError: no model here" in operation["error"]["message"]
    path = "/onlineEndpoints/broken/deployments/blue"
    assert serving.emulator.arm("GET", path).json()["properties"]["provisioningState"] == "Failed"
    assert "no model here" in serving.emulator.arm("POST", f"{path}/getLogs", json={"tail": 100}).json()["content"]
    serving.deploy("broken", "blue", ONE)
    serving.begin("broken", "blue", script)
    serving.wait(path, "Failed")
    assert score(serving, "broken", "blue")["version"] == 1


def test_logs_are_what_the_script_printed(serving):
    """The answer of getLogs is the end of the container's output, and what could not be honoured."""
    serving.endpoint("logged")
    serving.deploy("logged", "blue", ONE)
    path = "/onlineEndpoints/logged/deployments/blue/getLogs"
    content = serving.emulator.arm("POST", path, json={"tail": 100, "containerType": "InferenceServer"}).json()[
        "content"
    ]
    assert "hello from init" in content
    assert "the image 'python' is not used" in content
    last = serving.emulator.arm("POST", path, json={"tail": 1}).json()["content"]
    assert content.endswith(last)
    assert last.count("\n") == 1
    for wrong in ({"tail": 0}, {"tail": "many"}, {"containerType": "x"}):
        assert serving.emulator.arm("POST", path, json=wrong).status_code == 400


@pytest.mark.parametrize("model", ["folder", "file"])
def test_the_model_lies_where_the_service_puts_it(serving, model):
    """AZUREML_MODEL_DIR holds a folder model under the folder's name, a file model under the file's."""
    uri = serving.upload({"outputs/model/weights.txt": "w", "outputs/model/sub/more.txt": "m"})
    path = "/outputs/model" + {"folder": "", "file": "/weights.txt"}[model]
    model_id = serving.put(f"/models/{model}/versions/3", {"properties": {"modelUri": uri + path}})
    serving.endpoint(f"with-{model}")
    serving.deploy(f"with-{model}", "blue", MODEL_SCRIPT, model=model_id, environmentVariables={"GIVEN": "yes"})
    answer = score(serving, f"with-{model}", "blue")
    expected = {"folder": {"model/weights.txt": "w", "model/sub/more.txt": "m"}, "file": {"weights.txt": "w"}}
    assert answer["files"] == expected[model]
    assert (answer["given"], answer["inherited"]) == ("yes", [])
    assert "/environments/" in answer["python"]


def test_a_model_that_is_served_cannot_be_deleted(serving, until):
    """Deleting a served model is refused by naming the deployment; once that is gone it is possible."""
    model_id = serving.put("/models/used/versions/1", {"properties": {"modelUri": serving.upload({"m/a": "a"}) + "/m"}})
    serving.endpoint("user")
    serving.deploy("user", "blue", ONE, model=model_id)
    model = f"/modelmanagement/v1.0{model_id.partition('/models/')[0]}/models/used:1"
    refused = serving.emulator.call("DELETE", model)
    assert refused.status_code == 412
    assert "user/blue" in refused.text
    serving.emulator.arm("DELETE", "/onlineEndpoints/user")
    until(lambda: serving.emulator.call("DELETE", model).status_code == 200)


def test_a_deployment_with_traffic_is_not_deleted(serving, until):
    """DELETE is 400 while traffic flows, then 202 and the process dies; absent is 204."""
    serving.endpoint("deleting")
    serving.deploy("deleting", "blue", ONE)
    serving.endpoint("deleting", traffic={"blue": 100})
    path = "/onlineEndpoints/deleting/deployments/blue"
    refused = serving.emulator.arm("DELETE", path)
    assert refused.status_code == 400
    assert "traffic" in refused.json()["error"]["message"]
    pid = score(serving, "deleting", "blue")["pid"]
    serving.endpoint("deleting", traffic={"blue": 0})
    answer = serving.emulator.arm("DELETE", path)
    assert answer.status_code == 202
    until(lambda: serving.emulator.call("GET", answer.headers["Location"]).status_code == 200)
    assert not alive(pid)
    assert serving.emulator.arm("GET", path).status_code == 404
    assert serving.emulator.arm("DELETE", path).status_code == 204
    assert serving.emulator.arm("GET", "/onlineEndpoints/deleting").json()["properties"]["traffic"] == {}


def test_deleting_an_endpoint_ends_its_deployments(serving, until):
    """The endpoint is gone only after its deployments' processes, whatever traffic they have."""
    serving.endpoint("whole")
    serving.deploy("whole", "blue", ONE)
    serving.endpoint("whole", traffic={"blue": 100})
    pid = score(serving, "whole", "blue")["pid"]
    answer = serving.emulator.arm("DELETE", "/onlineEndpoints/whole")
    until(lambda: serving.emulator.call("GET", answer.headers["Location"]).status_code == 200)
    assert not alive(pid)
    assert serving.emulator.arm("GET", "/onlineEndpoints/whole").status_code == 404


def test_a_deployment_that_never_gets_ready_can_be_deleted(serving, until):
    """Deleting ends a process that hangs in init(), and cancels the operation that waits for it."""
    serving.endpoint("hanging")
    answer = serving.begin("hanging", "blue", "import time\ndef init(): time.sleep(3600)\ndef run(data): pass")
    path = "/onlineEndpoints/hanging/deployments/blue"
    logs = lambda: serving.emulator.arm("POST", f"{path}/getLogs", json={}).json()["content"]  # noqa: E731 - short
    until(lambda: "Invoking user's init function" in logs())
    deletion = serving.emulator.arm("DELETE", path)
    until(lambda: serving.emulator.call("GET", deletion.headers["Location"]).status_code == 200)
    assert serving.ended(answer)["status"] == "Canceled"


DAEMON = """
import os, subprocess, sys

def init():
    global daemon
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    daemon = subprocess.Popen(sleeper, start_new_session=True).pid

def run(data):
    return {"pid": daemon, "parent": os.getppid()}
"""


def test_a_daemon_does_not_outlive_its_deployment(serving, until):
    """What a script started in a session of its own ends with the deployment, though its parent was killed before."""
    serving.endpoint("daemonic")
    serving.deploy("daemonic", "blue", DAEMON)
    first = score(serving, "daemonic", "blue")
    assert alive(first["pid"])
    os.kill(first["parent"], 9)
    second = until(lambda: restarted(serving, first))
    assert not alive(first["pid"])
    serving.emulator.arm("DELETE", "/onlineEndpoints/daemonic/deployments/blue")
    until(lambda: not alive(second["pid"]))


def restarted(serving, first: dict) -> dict | None:
    answer = serving.score("daemonic", {}, **{HEADER: "blue"})
    return answer.json() if answer.ok and answer.json() != first else None


def test_a_crashed_process_is_started_again(serving, until):
    """A deployment whose process died serves again from a new one."""
    serving.endpoint("crashing")
    serving.deploy("crashing", "blue", ONE)
    pid = score(serving, "crashing", "blue")["pid"]
    os.kill(pid, 9)

    def again() -> bool:
        answer = serving.score("crashing", {}, **{HEADER: "blue"})
        return answer.status_code == 200 and answer.json()["pid"] != pid

    until(again)


@pytest.mark.parametrize("graceful", [True, False])
def test_deployments_serve_again_after_a_restart(fresh_serving, graceful, until):
    """After an end or a SIGKILL of the emulator the old process is dead and a new one serves, with the same key."""
    fresh_serving.endpoint("restarted")
    fresh_serving.deploy("restarted", "blue", ONE)
    key, pid = fresh_serving.key("restarted"), score(fresh_serving, "restarted", "blue")["pid"]
    emulator = fresh_serving.emulator
    if graceful:
        emulator.stop()
        assert not alive(pid)
    else:
        emulator.kill()
        assert alive(pid)
    emulator.start()
    until(lambda: fresh_serving.score("restarted", {}, **{HEADER: "blue"}).status_code == 200)
    assert score(fresh_serving, "restarted", "blue")["pid"] != pid
    assert not alive(pid)
    assert fresh_serving.key("restarted") == key


def test_a_deployment_under_way_survives_a_crash(fresh_serving, until):
    """A creation that a SIGKILL interrupted goes on; its operation succeeds."""
    fresh_serving.endpoint("interrupted")
    answer = fresh_serving.begin("interrupted", "blue", ONE)
    fresh_serving.emulator.kill()
    fresh_serving.emulator.start()
    assert until(lambda: fresh_serving.ended(answer))["status"] == "Succeeded"
    assert score(fresh_serving, "interrupted", "blue")["version"] == 1


def test_stopping_does_not_fail_what_is_being_built(fresh_serving, until):
    """An emulator that is stopped while it builds an environment goes on building when it is back."""
    serving, emulator = fresh_serving, fresh_serving.emulator
    with socket.create_server(("127.0.0.1", 0)) as silent_index:
        serving.endpoint("building")
        index = f"--index-url http://127.0.0.1:{silent_index.getsockname()[1]}/simple"
        image = {"image": "i", "condaFile": f"dependencies: [{{pip: ['{index}', absent]}}]"}
        environment = serving.put("/environments/e/versions/1", {"properties": image})
        serving.begin("building", "blue", ONE, environmentId=environment)
        path = "/onlineEndpoints/building/deployments/blue"
        until(lambda: "Building" in emulator.arm("POST", f"{path}/getLogs", json={}).json()["content"])
        emulator.stop()
        emulator.start()
        assert emulator.arm("GET", path).json()["properties"]["provisioningState"] == "Creating"
        emulator.stop()


@pytest.mark.parametrize(
    ("name", "change", "status", "words"),
    [
        ("blue", {"instanceTyp": "x"}, 400, "instanceTyp"),
        ("b", {}, 400, "3 to 32"),
        ("blue", {"codeConfiguration": None}, 501, "codeConfiguration"),
        ("blue", {"codeConfiguration": {"codeId": "x"}}, 400, "scoringScript"),
        ("blue", {"codeConfiguration": {"codeId": "x", "scoringScript": "../score.py"}}, 400, "must lie in the code"),
        ("blue", {"codeConfiguration": {"codeId": "x", "scoringScript": "score.py"}}, 400, "not the id"),
        ("blue", {"environmentId": "azureml:absent:1"}, 404, "absent:1"),
        ("blue", {"environmentId": "azureml://registries/azureml/environments/e/versions/1"}, 501, "registries"),
        ("blue", {"model": "azureml:absent:1"}, 404, "absent"),
        ("blue", {"endpointComputeType": "Kubernetes"}, 501, "managed"),
        ("blue", {"environmentVariables": {"A": 1}}, 400, "environmentVariables"),
        ("blue", {"environmentVariables": {"A=B": "1"}}, 400, "A=B"),
        ("blue", {"requestSettings": {"requestTimeout": "soon"}}, 400, "requestTimeout"),
        ("blue", {"instanceType": "Standard_Toaster"}, 400, "Standard_Toaster"),
    ],
)
def test_refuses_what_it_cannot_deploy(serving, name, change, status, words):
    """What is malformed, absent or not offered is refused at once with a reason; nothing is created."""
    serving.endpoint("refusing")
    answer = serving.begin("refusing", name, ONE, **change)
    assert answer.status_code == status, answer.text
    assert words in answer.text
    assert serving.emulator.arm("GET", "/onlineEndpoints/refusing/deployments").json()["value"] == []


def test_a_patch_of_a_deployment_leaves_its_process_alone(serving, until):
    """Tags and sku change, and the very process that served goes on serving."""
    serving.endpoint("patching", traffic=None)
    serving.deploy("patching", "blue", "import os\ndef init(): pass\ndef run(data): return os.getpid()")
    serving.endpoint("patching", traffic={"blue": 100})
    path, process = "/onlineEndpoints/patching/deployments/blue", serving.score("patching", {}).json()
    answer = serving.emulator.arm("PATCH", path, json={"tags": {"a": "b"}, "sku": {"capacity": 2}})
    assert (answer.status_code, answer.content) == (202, b"")
    until(lambda: serving.emulator.call("GET", answer.headers["Location"]).status_code == 200)
    after = serving.emulator.arm("GET", path).json()
    assert (after["tags"], after["sku"]["capacity"]) == ({"a": "b"}, 2)
    assert after["properties"]["provisioningState"] == "Succeeded"
    assert serving.score("patching", {}).json() == process
    assert serving.emulator.arm("PATCH", path, json={"properties": {}}).status_code == 400
    assert serving.emulator.arm("PATCH", f"{path}x", json={}).status_code == 404


def test_a_deployment_needs_its_endpoint(serving):
    """Everything below an absent endpoint is 404, but deleting, which is 204."""
    assert serving.begin("nowhere", "blue", ONE).status_code == 404
    for path in ("/onlineEndpoints/nowhere/deployments", "/onlineEndpoints/nowhere/deployments/blue"):
        assert serving.emulator.arm("GET", path).status_code == 404
    assert serving.emulator.arm("DELETE", "/onlineEndpoints/nowhere/deployments/blue").status_code == 204


def test_a_script_that_is_not_in_the_code_is_named(serving, until):
    """The failure says which script is missing and what there is."""
    serving.endpoint("scriptless")
    uri = serving.upload({"src/other.py": ONE})
    code = serving.put("/codes/scriptless/versions/1", {"properties": {"codeUri": f"{uri}/src"}})
    configuration = {"codeId": code, "scoringScript": "score.py"}
    answer = serving.begin("scriptless", "blue", ONE, codeConfiguration=configuration)
    message = until(lambda: serving.ended(answer))["error"]["message"]
    assert "'score.py'" in message
    assert "other.py" in message


@pytest.mark.parametrize("value", [None, True, 5, 1.5, "", "\0", "x" * 3000, [], ["a"], {}, {"a": 1}, {"a": {"b": []}}])
def test_no_body_is_too_odd_for_an_answer(serving, value):
    """Whatever a member's value is, the answer is a success or a refusal with a reason, never a 500."""
    serving.endpoint("odd")
    path = "/onlineEndpoints/odd"
    properties = {"authMode": "Key", "traffic": {}, "mirrorTraffic": {}, "properties": {}, "description": ""}
    spec = dict.fromkeys(DEFAULTS) | {"environmentId": "x", "codeConfiguration": {"codeId": "x", "scoringScript": "s"}}
    bodies = [(path, value), (path, {"properties": value}), (f"{path}/deployments/blue", {"properties": value})]
    bodies += [(path, {"location": "l", "properties": {**properties, member: value}}) for member in properties]
    deployment = f"{path}/deployments/blue"
    bodies += [(deployment, {"location": "l", "properties": {**spec, member: value}}) for member in spec]
    bodies += [(deployment, {"location": "l", "properties": spec, member: value}) for member in ("tags", "sku")]
    bodies += [("/environments/odd/versions/1", {"properties": {"image": value, "condaFile": value}})]
    bodies += [("/codes/odd/versions/1", {"properties": {"codeUri": value, "properties": value}})]
    for where, body in bodies:
        answer = serving.emulator.arm("PUT", where, json=body)
        assert answer.status_code in {200, 201, 400, 404, 409, 501}, (where, body, answer.text)
    for action in ("listKeys", "regenerateKeys", "token"):
        answer = serving.emulator.arm("POST", f"{path}/{action}", json={"keyType": value, "keyValue": value})
        assert answer.status_code in {200, 202, 400, 409}, (action, answer.text)
