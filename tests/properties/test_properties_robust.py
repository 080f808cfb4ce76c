"""Whatever a request to one of its routes looks like, the emulator has an answer: never 500, and never half of one."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest
from emulator_process import SUBSCRIPTION, TENANT
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st
from in_process import BASE, running
from properties_samples import BODIES, CLUSTER, CONTAINER, DEFINITION, ENDPOINT, EXPERIMENT, MODEL, RUN, SNAPSHOT, TEXTS

from airflow_azml.emulator.http.wire import WORKSPACE_PATH

KNOWN = {
    "subscription": SUBSCRIPTION, "group": "local", "workspace": "local", "location": "eastus", "tenant": TENANT,
    "experiment": EXPERIMENT, "run_id": RUN, "compute": CLUSTER, "model_id": f"{MODEL}:1", "endpoint": ENDPOINT,
    "version": "1", "account": "azuremllocal", "container": CONTAINER, "origin": "ExperimentRun", "family": "compute",
    "snapshot_id": SNAPSHOT, "path": "outputs/model.txt", "metric_id": SNAPSHOT,
}  # fmt: skip
NAMES = [
    CLUSTER,
    "instance",
    MODEL,
    "e",
    "c",
    "workspaceblobstore",
    "blue",
    f"ExperimentRun/dcid.{RUN}/outputs/model.txt",
]
QUERY = [
    "api-version", "$top", "$skip", "$skipToken", "$filter", "$orderby", "$sortorder", "$continuationtoken", "count",
    "continuationToken", "path", "name", "tags", "properties", "runId", "orderBy", "listViewType", "hash", "isDefault",
    "comp", "restype", "prefix", "marker", "maxresults", "delimiter", "blockid", "sig", "se", "sp", "sr", "sv", "sig",
    "underlyingResourceAction", "append", "allowOverwrite", "run_id", "metric_key", "experiment_id", "experiment_name",
    "latestVersionOnly", "viewType", "CancelationReason", "timeout",
]  # fmt: skip
VALUES = [
    "list", "container", "block", "blocklist", "metadata", "properties", "Delete", "Detach", "true", "ActiveOnly", "1",
    "CreatedAtDesc", "createdUtc", "2019-11-01", RUN, MODEL, "acc", "outputs",
]  # fmt: skip
HEADERS = [
    "Range", "x-ms-range", "If-None-Match", "If-Match", "Content-Type", "Content-MD5", "x-ms-blob-type", "x-ms-version",
    "x-ms-meta-a", "x-ms-blob-content-md5", "x-ms-blob-content-type", "x-ms-date", "x-ms-client-request-id", "Accept",
    "X-Forwarded-Proto", "X-Forwarded-Host", "Host", "Origin", "azureml-model-deployment", "Authorization",
    "x-ms-correlation-request-id",
]  # fmt: skip
HEADER_VALUES = [
    "bytes=0-", "bytes=5-1", "bytes=-5", "*", "application/json", "multipart/form-data",
    "multipart/form-data; boundary=", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
    "BlockBlob", "PageBlob", "Bearer x", "Bearer", "SharedKey azuremllocal:x", "SharedKey",
    "Basic eDp5", "Bearer a.b.c", "http", "https, http",
    "evil:x", "[::1", "", "x.blob.core.windows.net", "ep-1.eastus.inference.ml.azure.com", "x" * 2000,
]  # fmt: skip

texts = st.sampled_from(TEXTS) | st.text(max_size=20)
numbers = (
    st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0, -1, 2**31, 2**63, 10**400])
)
scalars = st.none() | st.booleans() | numbers | texts
keys = st.sampled_from(["name", "properties", "tags", "runId", "value", "type"]) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
)
raw_bodies = st.sampled_from(
    [b"", b" ", b"{", b"[]", b"null", b"NaN", b'{"a": 1e999}', b'"\xff"', b"[" * 100_000, b'{"a":' * 5000, b"\xff\xfe",
     b"--x\r\n\r\n--x--", b'--x\r\nContent-Disposition: form-data; name="runDefinitionFile"\r\n\r\n{}\r\n--x--\r\n',
     b"grant_type=client_credentials&client_id=local&client_secret=in-process-secret&scope=https://ml.azure.com/.default",
     b"a=%ff&a=b&=",
     b"<BlockList><Latest>AAAA</Latest></BlockList>", b"1" * 5000]
) | st.binary(max_size=50)  # fmt: skip


def encoded(value) -> bytes:
    return json.dumps(value).encode()


def places(body):
    """Yield every (container, key) in a JSON document."""
    items = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for key, value in items:
        yield body, key
        yield from places(value)


@st.composite
def twisted(draw, samples):
    """A well-formed body with up to three things wrong."""
    body = [copy.deepcopy(draw(st.sampled_from(samples)))]
    for _ in range(draw(st.integers(0, 3))):
        holder, key = draw(st.sampled_from(list(places(body))))
        match draw(st.sampled_from(["replace", "replace", "replace", "remove", "wrap", "rename"])):
            case "remove" if holder is not body:
                del holder[key]
            case "wrap":
                holder[key] = draw(st.sampled_from([[holder[key]], {"a": holder[key]}, str(holder[key])]))
            case "rename" if isinstance(holder, dict):
                holder[draw(st.sampled_from([key.upper(), key.lower(), *TEXTS]))] = holder.pop(key)
            case _:
                holder[key] = draw(values)
    return body[0]


def multipart(definition: bytes, project: bytes) -> bytes:
    part = b'--x\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\n\r\n%s\r\n'
    return (
        part % (b"runDefinitionFile", b"d.json", definition)
        + part % (b"projectZipFile", b"p.zip", project)
        + b"--x--\r\n"
    )


def bodies(name: str):
    """What is sent to a handler: mostly what it expects, twisted."""
    known = twisted(BODIES[name]) if name in BODIES else values
    sent = known.map(encoded) | values.map(encoded) | raw_bodies
    if name == "start_run":
        zips = st.sampled_from([b"", b"PK\x05\x06" + b"\0" * 18, b"PK\x03\x04"]) | st.binary(max_size=30)
        return st.builds(multipart, twisted([DEFINITION]).map(encoded) | raw_bodies, zips) | sent
    return sent


def mostly(known, other):
    """A strategy that takes the known value three times out of four: further in, there is more to break."""
    return st.one_of(*[st.just(value) for value in known], *[st.just(known[0])] * (3 - len(known)), other)


@st.composite
def requests(draw, route: APIRoute):
    """A request to the route, as method, URL, headers and body."""
    path = route.path
    for name, converter in route.param_convertors.items():
        known = [KNOWN[name]] if name in KNOWN else NAMES
        value = draw(mostly(known, texts))
        safe = "/" if "path" in type(converter).__name__.casefold() else ""
        whole = f"{{{name}:path}}" if safe else f"{{{name}}}"
        path = path.replace(whole, quote(value, safe=safe, errors="surrogatepass"))
    query = draw(st.dictionaries(st.sampled_from(QUERY), st.sampled_from(VALUES) | texts, max_size=4))
    if draw(st.integers(0, 7)):
        query.setdefault("api-version", "2023-10-01")
    headers = draw(st.dictionaries(st.sampled_from(HEADERS), st.sampled_from(HEADER_VALUES), max_size=3))
    if route.name == "start_run" and draw(st.booleans()):
        headers["Content-Type"] = "multipart/form-data; boundary=x"
    method = draw(st.sampled_from(sorted(route.methods)))
    body = draw(bodies(route.endpoint.__name__)) if method in {"POST", "PUT", "PATCH", "DELETE"} else b""
    return method, f"{BASE}{path}?{urlencode(query, errors='surrogatepass')}", headers, body


STUDIO = {"compute", "endpoints", "model", "runs"}  # pages for people


def every_route() -> list[APIRoute]:
    """One route of every handler in the emulator's own table, those that delete last: there is less after them."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as site:
        found = {route.endpoint: route for route in site.http.app.routes if isinstance(route, APIRoute)}
    return sorted(found.values(), key=lambda route: "DELETE" in route.methods)


def labelled(route: APIRoute) -> str:
    return f"{'|'.join(sorted(route.methods))} {route.path.replace(WORKSPACE_PATH, '/W')}"


def check(answer, method: str) -> None:
    """Make sure of an answer: no failure of the emulator's own, and a body that its plane's clients can read."""
    assert answer.status_code < 500 or answer.status_code in {501, 503}, answer.text
    path = answer.request.url.path.casefold()
    if answer.status_code < 400 or method == "HEAD" or "/_score/" in path or "/oauth2/" in path:
        return
    if answer.status_code == 404 and "/computes/" in path and not answer.content:
        return  # a compute that does not exist: the service sends no body
    kind = answer.headers["content-type"]
    if kind == "application/xml":
        assert answer.headers["x-ms-error-code"]
    elif kind == "application/json":
        said = answer.json()
        codes = said.get("error_codes") or said.get("error_code") or said.get("code")
        assert codes or (said["error"]["code"] and said["error"]["message"]), said
    elif path.split("/")[1] in STUDIO:
        assert kind.startswith(("text/html", "text/plain")), kind  # the latter where the scoring host is asked
    else:
        assert kind.startswith("text/plain"), kind  # the scoring host


@pytest.mark.parametrize("route", every_route(), ids=labelled)
def test_no_request_is_answered_500(site, route):
    """Paths, queries, headers and bodies, well-formed and not; an exception of the emulator's fails the test."""

    @given(requests(route))
    def holds(request):
        method, url, headers, body = request
        encoded_headers = {name: value.encode("latin-1") for name, value in {**site.headers, **headers}.items()}
        check(site.http.request(method, url, headers=encoded_headers, content=body), method)
        site.http.delete("/_emulator/faults", headers=site.headers)

    holds()
