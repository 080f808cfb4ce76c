"""The scoring host: who may call, which deployment answers, what becomes of its answer."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

SCRIPT = """
import json, os, pathlib, threading, time

def run_when_two_are_here(folder):
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < 2:
        time.sleep(0.05)

def init():
    pass

def run(data):
    data = json.loads(data)
    if data.get("meet"):
        run_when_two_are_here(pathlib.Path(data["meet"]))
    if data.get("sleep"):
        time.sleep(data["sleep"])
    if data.get("die"):
        os._exit(1)
    if data.get("fail"):
        raise ValueError("bad data")
    return {"echo": data, "deployment": "NAME"}
"""
HEADER = "azureml-model-deployment"
SPLIT = {"blue": 75, "green": 25}


@pytest.fixture(scope="module")
def scored(serving):
    """An endpoint with two deployments that share the traffic."""
    serving.endpoint("scored")
    patient = {"requestTimeout": "PT30S", "maxConcurrentRequestsPerInstance": 2}
    for name in SPLIT:
        script = SCRIPT.replace("NAME", name)
        serving.deploy("scored", name, script, requestSettings=patient, environmentVariables={"WORKER_COUNT": "2"})
    serving.endpoint("scored", traffic=SPLIT)
    return serving


def test_traffic_is_split_by_percentage(scored):
    """Both deployments answer, the one with more traffic more often; the header names who answered."""
    answers = [scored.score("scored", {"x": 1}) for _ in range(80)]
    assert all(answer.json()["deployment"] == answer.headers[HEADER] for answer in answers)
    count = Counter(answer.headers[HEADER] for answer in answers)
    assert count["blue"] > count["green"] > 0  # fails by chance once in a million runs
    assert answers[0].json()["echo"] == {"x": 1}


def test_the_header_picks_a_deployment(scored):
    """The request's header overrules the traffic; a deployment that is not there is 404."""
    for name in ("green", "Blue"):
        assert scored.score("scored", {}, **{HEADER: name}).json()["deployment"] == name.lower()
    assert scored.score("scored", {}, **{HEADER: "red"}).status_code == 404


def test_host_style_addresses_reach_the_same_endpoint(scored):
    """The service's own host names lead to the endpoint, too."""
    headers = {"Host": "scored.eastus.inference.ml.azure.com", "Authorization": f"Bearer {scored.key('scored')}"}
    answer = requests.post(f"{scored.emulator.url}/score", json={"x": 2}, headers=headers, timeout=60)
    assert answer.json()["echo"] == {"x": 2}


def test_a_user_exception_is_a_424(scored):
    """An exception in run() is 424 with the container's status in a header, and the deployment goes on serving."""
    answer = scored.score("scored", {"fail": True})
    assert answer.status_code == 424
    assert answer.headers["ms-azureml-model-error-reason"] == "model_error"
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert answer.headers["ms-azureml-model-error-statuscode"] == "500"
    assert "scoring script" in answer.json()["message"]
    assert scored.score("scored", {}).status_code == 200


def test_two_requests_are_scored_at_the_same_time(scored, tmp_path):
    """Two calls to one deployment that wait for each other both succeed, as it has two workers."""
    statuses = []

    def score() -> None:
        statuses.append(scored.score("scored", {"meet": str(tmp_path)}, **{HEADER: "blue"}).status_code)

    threads = [threading.Thread(target=score) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200, 200]


def test_other_paths_of_the_container_are_model_errors(scored):
    """What the container refuses is 424 with its status in a header; its health probe answers."""
    uri = scored.emulator.arm("GET", "/onlineEndpoints/scored").json()["properties"]["scoringUri"]
    headers = {"Authorization": f"Bearer {scored.key('scored')}"}
    answer = requests.get(uri.removesuffix("/score") + "/a b?q=ü", headers=headers, timeout=60)
    assert (answer.status_code, answer.headers["ms-azureml-model-error-statuscode"]) == (424, "404")
    assert requests.get(f"{uri}?x=5", headers=headers, timeout=60).json()["echo"] == {"x": 5}
    assert requests.get(uri.removesuffix("/score"), headers=headers, timeout=60).text == "Healthy"


def test_only_the_endpoints_keys_open_it(scored):
    """Both keys open a key endpoint; no header, another scheme, a wrong key and a bearer token do not."""
    keys = scored.emulator.arm("POST", "/onlineEndpoints/scored/listKeys").json()
    for key in keys.values():
        assert scored.score("scored", {}, Authorization=f"Bearer {key}").status_code == 200
    for wrong in ("Bearer wrong", "Bearer ", "Basic x", keys["primaryKey"], f"Bearer {scored.emulator.token}"):
        assert scored.score("scored", {}, Authorization=wrong).status_code == 401
    assert scored.score("scored", {}, Authorization="Bearer wrong").text == "key_auth_access_denied"
    url = f"{scored.emulator.url}/_score/scored/score"
    assert requests.post(url, json={}, timeout=60).status_code == 401
    scored.emulator.arm("POST", "/onlineEndpoints/scored/regenerateKeys", json={"keyType": "Primary"})
    assert scored.score("scored", {}, Authorization=f"Bearer {keys['primaryKey']}").status_code == 401
    assert scored.score("scored", {}).status_code == 200


@pytest.mark.parametrize("mode", ["AMLToken", "AADToken"])
def test_tokens_open_token_endpoints(serving, mode):
    """An AMLToken endpoint takes the token that it issued, an AADToken one a token for https://ml.azure.com."""
    name = mode.lower()
    serving.endpoint(name, mode)
    serving.deploy(name, "blue", SCRIPT)
    serving.endpoint(name, mode, traffic={"blue": 100})
    if mode == "AMLToken":
        token = serving.emulator.arm("POST", f"/onlineEndpoints/{name}/token").json()["accessToken"]
    else:
        token = serving.emulator.sign_in("https://ml.azure.com")
    url = f"{serving.emulator.url}/_score/{name}/score"
    for bearer, status in ((token, 200), (serving.emulator.token, 401), ("x.y.z", 401)):
        headers = {"Authorization": f"Bearer {bearer}"}
        assert requests.post(url, json={}, headers=headers, timeout=60).status_code == status


def test_an_endpoint_without_traffic_is_404(serving):
    """Without traffic only the header reaches a deployment; an absent endpoint is 404 whatever the key."""
    serving.endpoint("silent")
    assert serving.score("silent", {}).status_code == 404
    serving.deploy("silent", "blue", SCRIPT)
    answer = serving.score("silent", {})
    assert (answer.status_code, HEADER in answer.headers) == (404, False)
    assert "positive weight" in answer.text
    assert serving.score("silent", {}, **{HEADER: "blue"}).status_code == 200
    assert requests.post(f"{serving.emulator.url}/_score/absent/score", timeout=60).status_code == 404


def test_a_deployment_that_is_not_up_is_503(serving):
    """A deployment that has not come up yet answers 503."""
    serving.endpoint("early")
    serving.begin("early", "blue", "import time\ndef init(): time.sleep(3600)\ndef run(data): pass")
    assert serving.score("early", {}, **{HEADER: "blue"}).status_code == 503


def test_slow_and_dying_containers(serving, until):
    """A request that takes longer than requestTimeout is 408; one that kills the process 424, and it comes back."""
    serving.endpoint("fragile")
    quick = {"requestTimeout": "PT2S"}
    serving.deploy("fragile", "blue", SCRIPT, requestSettings=quick, environmentVariables={"WORKER_COUNT": "2"})
    blue = {HEADER: "blue"}
    assert serving.score("fragile", {"sleep": 3600}, **blue).status_code == 408
    answer = serving.score("fragile", {"die": True}, **blue)
    assert (answer.status_code, answer.headers["ms-azureml-model-error-statuscode"]) == (424, "502")
    until(lambda: serving.score("fragile", {}, **blue).status_code == 200)


BUSY = """
import json, os, time, urllib.request

def init():
    pass

def run(data):
    data = json.loads(data)
    while not os.path.exists(data["until"]):
        time.sleep(0.05)
    return urllib.request.urlopen(data["call"]).status
"""


def test_slow_scorings_do_not_stop_the_emulator(serving, tmp_path):
    """While 60 requests wait for a slow model, others are answered, also those that the model itself makes."""
    serving.endpoint("busy")
    settings = {"requestTimeout": "PT120S", "maxConcurrentRequestsPerInstance": 30}
    serving.deploy("busy", "blue", BUSY, requestSettings=settings)
    key, url = serving.key("busy"), serving.emulator.url
    headers = {"Authorization": f"Bearer {key}", HEADER: "blue"}
    body = {"until": str(tmp_path / "go"), "call": f"{url}/health"}

    def score(_: int) -> requests.Response:
        return requests.post(f"{url}/_score/busy/score", json=body, headers=headers, timeout=120)

    with ThreadPoolExecutor(61) as pool:
        answers = pool.map(score, range(61))
        for _ in range(20):
            assert requests.get(f"{url}/health", timeout=20).ok
            assert serving.emulator.arm("GET", "/onlineEndpoints/busy").ok
        (tmp_path / "go").touch()
        found = Counter((answer.status_code, answer.text) for answer in answers)
    assert found == {(200, "200"): 60, (429, "Too many pending requests for deployment 'blue'."): 1}


def test_traffic_must_be_to_deployments_that_are_there_and_sum_to_100(scored):
    """Other sums, absent deployments and shares that are no whole numbers are refused; the old rule stays."""
    for traffic in ({"blue": 50}, {"blue": 60, "green": 60}, {"red": 100}, {"blue": 100.0}, {"blue": -1, "green": 101}):
        body = {"location": "eastus", "properties": {"authMode": "Key", "traffic": traffic}}
        answer = scored.emulator.arm("PUT", "/onlineEndpoints/scored", json=body)
        assert answer.status_code == 400, traffic
    kept = scored.emulator.arm("GET", "/onlineEndpoints/scored").json()["properties"]["traffic"]
    assert kept == SPLIT
