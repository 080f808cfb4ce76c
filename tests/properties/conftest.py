"""An emulator within this process that holds one of everything, for requests of every shape."""

from __future__ import annotations

import os

import pytest
from emulator_process import WORKSPACE
from hypothesis import HealthCheck, settings
from in_process import InProcess, running
from properties_samples import BODIES, CLUSTER, CONTAINER, ENDPOINT, EXPERIMENT, MODEL, REGISTRATION, RUN

# The same examples every time; HYPOTHESIS_PROFILE=explore looks for new ones.
COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("repeatable", derandomize=True, max_examples=12, **COMMON)
settings.register_profile("explore", max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "500")), **COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The emulator with its one of everything."""
    with running(tmp_path_factory.mktemp("properties")) as site:
        populate(site)
        yield site


def populate(site: InProcess) -> None:
    """Make a run with an output and a metric, a model of it, a compute and an endpoint."""

    def call(method, path, headers=(), **options):
        answer = site.http.request(method, path, headers={**site.headers, **dict(headers)}, **options)
        assert answer.status_code in {200, 201}, answer.text
        return answer

    history = f"/history/v1.0{WORKSPACE}/experiments/{EXPERIMENT}"
    call("POST", history)
    call("PATCH", f"{history}/runs/{RUN}", json={"runId": RUN})
    output = f"/_blob/azuremllocal/{CONTAINER}/ExperimentRun/dcid.{RUN}/outputs/model.txt"
    call("PUT", output, content=b"weights", headers={"x-ms-blob-type": "BlockBlob"})
    call("POST", f"/metric/v2.0{WORKSPACE}/runs/{RUN}/batch", json=BODIES["post_batch"][0])
    management = f"/modelmanagement/v1.0{WORKSPACE}"
    asset = call("POST", f"{management}/assets", json=BODIES["create_asset"][0]).json()["id"]
    REGISTRATION["url"] = f"aml://asset/{asset}"
    call("POST", f"{management}/models", json=REGISTRATION)
    for path, body in (
        (f"computes/{CLUSTER}", BODIES["put_compute"][0]),
        ("computes/instance", BODIES["put_compute"][1]),
        (f"onlineEndpoints/{ENDPOINT}", BODIES["put_endpoint"][0]),
        ("environments/e/versions/1", BODIES["environment_versions_put"][0]),
        ("codes/c/versions/1", BODIES["code_versions_put"][0]),
    ):
        call("PUT", f"{WORKSPACE}/{path}", json=body, params={"api-version": "2023-10-01"})
    assert site.emulator.models.find(MODEL, "1")
