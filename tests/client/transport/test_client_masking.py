"""Secrets: reported the moment they are seen, and in no log."""

from __future__ import annotations

import json
import logging

import msgspec
import pytest
from client_support import ARM

from airflow_azml.client.transport import errors
from airflow_azml.client.transport.longrunning import Operation

URL = f"{ARM}/things"


def test_a_signed_operation_address_is_told_as_a_secret_and_sent_as_it_is(make_client, requests_mock, secrets):
    """The service signs the whole address, colons included: not one character of several KB may change."""
    path = "/mfeOperationsStatus/oeidp:1111-2222:3333?api-version=2023-10-01"
    url = f"{ARM}{path}&t=638700&c=MIIH{'A-_' * 600}&s=c2lnbmVk{'b' * 300}&h=aGFz{'c' * 30}"
    requests_mock.put(URL, headers={"Azure-AsyncOperation": url}, json={})
    requests_mock.get(url, json={"status": "Succeeded"}, complete_qs=True)
    signature = f"c2lnbmVk{'b' * 300}"
    operation = Operation.started_by(make_client().transport.request("PUT", URL, operation="create"))
    assert signature in secrets
    secrets.clear()
    elsewhere = msgspec.convert(
        json.loads(json.dumps(msgspec.to_builtins(operation))), Operation
    )  # a triggerer never saw the PUT
    assert elsewhere.poll(make_client().transport).done
    assert signature in secrets
    assert requests_mock.last_request.url == url


def test_no_secret_is_logged(client, requests_mock, caplog, secrets):
    """Log lines name the request, but neither token nor signature; both were reported to be masked."""
    caplog.set_level(logging.DEBUG, logger="airflow_azml")
    sas = "https://sa.blob.core.windows.net/c/x?sv=1&sig=abc%2Fdef"
    requests_mock.get(URL, status_code=400, text=f"look at {sas} with Bearer t0ken-t0ken")
    requests_mock.get(sas, text="x")
    with pytest.raises(errors.InvalidRequestError) as caught:
        client.transport.request("GET", URL, operation="get things")
    client.transport.request("GET", client.transport.signed(sas), operation="read", auth=None)
    assert secrets == ["t0ken-t0ken", "abc%2Fdef", "abc/def"]
    for text in (caplog.text, str(caught.value), caught.value.message, repr(caught.value)):
        assert "abc" not in text
        assert "t0ken" not in text
    assert "get things: HTTP 400" in caplog.text


def test_not_every_signature_of_very_many_is_told(client, secrets):
    """Airflow's masker would spend minutes on the signatures of a thousand files; tokens are told all the same."""
    for number in range(1000):
        client.transport.signed(f"https://sa/c?sig=s{number}%3D")
    assert secrets[:2] == ["s0%3D", "s0="]
    assert len(secrets) == 100
    client.transport.token("scope")
    assert secrets[-1] == "t0ken-t0ken"


def test_a_secret_is_told_once(client, secrets):
    """Telling Airflow takes a call to the supervisor: a log that is read a thousand times has one signature."""
    for _ in range(1000):
        client.transport.signed("https://sa/c?sig=s")
        client.transport.token("scope")
    assert secrets == ["s", "t0ken-t0ken"]
