"""Error answers of every plane, and what is taken out of text."""

from __future__ import annotations

import json
import pickle

import pytest

from airflow_azml.client.transport import errors
from airflow_azml.client.transport.answers import error_from
from airflow_azml.client.transport.causes import Cause
from airflow_azml.client.transport.errors import InputError
from airflow_azml.client.transport.redact import excerpt, redact, signatures_of

ENVELOPES = {
    "arm": (
        '{"error":{"code":"UserError","message":"Invalid.","details":[{"code":"R","message":"Could not find x"}]}}',
        "UserError",
        "Invalid. Could not find x",
    ),
    "old arm, wrapped twice": ('{"error":{"error":{"code":"Old","message":"m"}}}', "Old", "m"),
    "data plane, nested": (
        '{"error":{"code":"A","message":"outer","innerError":{"code":"B","innerError":{"code":"C"}}},'  # noqa: ISC004 - one text
        '"correlation":{"operation":"o","request":"r-body"}}',
        "C",
        "outer",
    ),
    "data plane, message inside": (
        '{"error":{"code":"A","message":"outer","innerError":{"code":"B","message":"inner"}}}',
        "B",
        "inner",
    ),
    "flat model management": (
        '{"code":"Conflict","statusCode":409,"message":"in use","details":[{"code":"D","message":"image i uses it"}]}',
        "Conflict",
        "in use image i uses it",
    ),
    "oauth": (
        '{"error":"invalid_client","error_description":"AADSTS7000215: wrong"}',
        "invalid_client",
        "AADSTS7000215: wrong",
    ),
    "blob": (
        '<?xml version="1.0"?><Error><Code>BlobNotFound</Code><Message>It is not there.\nRequestId:1</Message></Error>',
        "BlobNotFound",
        "It is not there.",
    ),
    "text": ("upstream connect error", "", "upstream connect error"),
    "json string": ('"model says no"', "", "model says no"),
    "json list": ("[1]", "", "[1]"),
    "resource manager, its chain in additionalInfo": (
        (
            '{"error":{"code":"UserError","message":"Run j is in terminal status.","details":[],"additionalInfo":['
            '{"type":"ComponentName","info":{"value":"managementfrontend"}},'
            '{"type":"Correlation","info":{"value":{"operation":"o","request":"r-info"}}},'
            '{"type":"InnerError","info":{"value":{"code":"BadArgument","innerError":{"code":"ArgumentInvalid",'
            '"innerError":{"code":"CancelPipelineRunInTerminalStatus","innerError":null}}}}}]}}'
        ),
        "CancelPipelineRunInTerminalStatus",
        "Run j is in terminal status.",
    ),
    "both chains": (
        (
            '{"error":{"code":"A","message":"m","innerError":{"code":"B","innerError":{"code":"C"}},'
            '"additionalInfo":[{"type":"InnerError","info":{"value":{"code":"B"}}}]}}'
        ),
        "C",
        "m",
    ),
    "additionalInfo of other makes": (
        (
            '{"error":{"code":"A","message":"m","additionalInfo":[{"type":"InnerError","info":null},"x",{"type":"Time"},'
            '{"type":"InnerError","info":{"value":{"code":"B","innerError":null}}}]}}'
        ),
        "B",
        "m",
    ),
    "a gateway's page": (
        (
            "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title><style>p {color: red}</style></head>\n"
            "<body><!-- padding --><script>x < y</script><h1>Our services aren&#39;t available</h1><p>Ref A: 1</p>"
        ),
        "",
        "502 Bad Gateway Our services aren't available Ref A: 1",
    ),
    "unknown object": ('{"odd": 1}', "", "{'odd': 1}"),
    "empty": ("", "", ""),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_every_envelope_gives_code_and_message(name):
    """Whatever the plane, the deepest code and message are found."""
    body, code, message = ENVELOPES[name]
    error = error_from(operation="do it", status=400, headers={}, body=body)
    assert (error.code, error.message) == (code, message)


@pytest.mark.parametrize(
    ("status", "kind", "permanent"),
    [
        (400, errors.InvalidRequestError, True),
        (401, errors.AuthenticationError, True),
        (403, errors.PermissionDeniedError, True),
        (404, errors.NotFoundError, True),
        (405, errors.InvalidRequestError, True),
        (408, errors.ServiceError, False),
        (409, errors.ConflictError, False),
        (412, errors.ConflictError, False),
        (422, errors.InvalidRequestError, True),
        (429, errors.ThrottledError, False),
        (500, errors.ServiceError, False),
        (501, errors.ServiceError, True),
        (503, errors.ServiceError, False),
    ],
)
def test_status_decides_the_class_and_whether_a_retry_helps(status, kind, permanent):
    """Each status has one class, and each class says whether it is permanent."""
    error = error_from(operation="o", status=status, headers={}, body="")
    assert type(error) is kind
    assert error.permanent is permanent


NETWORK = "Access to workspace was denied based on workspace private link configuration."


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "permanent", "remedy"),
    [
        (502, "UserError", NETWORK, errors.PermissionDeniedError, True, "workspace's network"),
        (403, "Forbidden", "Public network access is disabled.", errors.PermissionDeniedError, True, "network"),
        (403, "RequestDisallowedByPolicy", "no GPUs", errors.PermissionDeniedError, True, "An Azure Policy"),
        (403, "AuthorizationFailed", "no", errors.PermissionDeniedError, True, "AzureML Data Scientist"),
        (409, "ScopeLocked", "locked", errors.ConflictError, True, "az lock list"),
        (409, "ReadOnlyDisabledSubscription", "off", errors.PermissionDeniedError, True, "enable it"),
        (409, "MissingSubscriptionRegistration", "no", errors.InvalidRequestError, True, "az provider register"),
        (409, "InUse", "busy", errors.ConflictError, False, ""),
        (502, "UserError", "odd", errors.InvalidRequestError, True, ""),
        (502, "BadGatewayConnection", "no", errors.ServiceError, False, ""),
        (400, "TransientError", "later", errors.ServiceError, False, ""),
        (400, "RequestThrottled", "later", errors.ThrottledError, False, ""),
    ],
)
def test_the_services_code_knows_better_than_the_status(status, code, message, kind, permanent, remedy):
    """What stays refused is permanent with its own remedy, whatever the status; what may pass is not."""
    body = json.dumps({"error": {"code": code, "message": message}})
    error = error_from(operation="o", status=status, headers={}, body=body)
    assert (type(error), error.permanent) == (kind, permanent)
    assert remedy in error.remedy
    assert bool(remedy) == bool(error.remedy)


def test_an_inner_code_decides_as_an_outer_one():
    """A registry that may not be read is a 401 for the token's sake, and yet the roles are at fault."""
    inner = {"code": "Auth", "innerError": {"code": "UnAuthorizedRegistryAccess", "innerError": None}}
    body = {"error": {"code": "UserError", "additionalInfo": [{"type": "InnerError", "info": {"value": inner}}]}}
    error = error_from(operation="o", status=401, headers={}, body=json.dumps(body))
    assert isinstance(error, errors.PermissionDeniedError)
    assert "role" in error.remedy


@pytest.mark.parametrize(
    ("headers", "message", "seconds"),
    [
        ({"Retry-After": "3"}, "Retry after 9 seconds.", 3),
        ({}, "Too many requests. Please retry after 12 seconds.", 12),
        ({}, "Request is throttled, try again in 5s", 5),
        ({}, "Rate of 100 requests is exceeded", None),
        ({}, "", None),
    ],
)
def test_too_many_requests_may_name_the_wait_in_words(headers, message, seconds):
    """The wait is the header's, else the message's; of other answers the message says nothing about it."""
    body = json.dumps({"error": {"code": "TooManyRequests", "message": message}})
    assert error_from(operation="o", status=429, headers=headers, body=body).retry_after == seconds
    assert error_from(operation="o", status=503, headers={}, body=body).retry_after is None


def test_an_error_is_one_readable_sentence():
    """Operation, status, code, message and remedy are all there; the request id has a line of its own."""
    error = error_from(
        operation="create compute", status=403, headers={"x-ms-request-id": "r1"},
        body='{"error":{"code":"AuthorizationFailed","message":"no"}}', url="https://x/?sig=secret",
    )  # fmt: skip
    assert str(error).startswith("create compute failed (HTTP 403): AuthorizationFailed: no. The service principal")
    assert str(error).endswith("\nRequest id: r1")
    assert "AzureML Data Scientist" in str(error)
    assert error.url == "https://x/?sig=***"


@pytest.mark.parametrize(
    ("message", "said"),
    [("it is there", "it is there. Delete it."), ("It is.", "It is. Delete it."), ("Is it?", "Is it? Delete it.")],
)
def test_the_remedy_is_a_sentence_of_its_own(message, said):
    """A full stop parts it from the reason, which may have brought one."""
    assert str(errors.ConflictError(message, remedy="Delete it.")) == said
    assert str(errors.ConflictError(message)) == message


@pytest.mark.parametrize(
    ("answered", "permanent"),
    [("400", True), ("405", True), ("408", False), ("429", False), ("500", False), ("502", False)],
)
def test_a_header_tells_what_the_model_answered(answered, permanent):
    """A 424 is the model's error: what it refused stays refused, what it failed at may be tried again."""
    headers = {"ms-azureml-model-error-statuscode": answered, "ms-azureml-model-error-reason": "model_error"}
    error = error_from(operation="score", status=424, headers=headers, body='{"message": "no"}')
    assert (type(error), error.permanent) == (errors.ModelError, permanent)
    assert error.message == f"the model answered {answered}: no"


@pytest.mark.parametrize(
    ("headers", "kind"),
    [({}, errors.ServiceError), ({"ms-azureml-model-error-reason": "model_error"}, errors.ModelError)],
)
def test_a_424_that_does_not_tell_what_the_model_answered_may_be_tried_again(headers, kind):
    """It is not the request that was wrong, as with other answers from 400 to 499."""
    error = error_from(operation="score", status=424, headers=headers, body='{"message": "no"}')
    assert (type(error), error.permanent, error.cause) == (kind, False, Cause.TRANSIENT)


def test_a_404_without_a_body_names_what_is_not_there():
    """The service answers so for a compute; nothing is invented where it gives a reason, or there is no address."""
    url = "https://management.azure.com/x/workspaces/w/computes/cpu%20one?api-version=1"
    said = error_from(operation="get compute", status=404, headers={}, body="", url=url)
    assert isinstance(said, errors.NotFoundError)
    assert said.message == "'computes/cpu one' does not exist"
    body = '{"error": {"code": "NotFound", "message": "gone"}}'
    assert error_from(operation="o", status=404, headers={}, body=body, url=url).message == "gone"


def test_headers_help_where_the_body_is_silent():
    """Blob storage, scoring and correlation put facts into headers."""
    blob = error_from(operation="o", status=404, headers={"x-ms-error-code": "BlobNotFound"}, body="")
    assert blob.code == "BlobNotFound"
    score = error_from(operation="o", status=424, headers={"ms-azureml-model-error-reason": "model_error"}, body="")
    assert score.message == "model_error"
    nested = error_from(operation="o", status=500, headers={}, body=ENVELOPES["data plane, nested"][0])
    assert nested.request_id == "r-body"
    arm = error_from(
        operation="o", status=400, headers={}, body=ENVELOPES["resource manager, its chain in additionalInfo"][0]
    )
    assert arm.request_id == "r-info"


def test_input_errors_carry_field_value_and_rule():
    """An InputError is a ValueError too, and survives pickling."""
    error = InputError("compute_name", "9", "must start with a letter")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own pickle
    assert isinstance(again, ValueError)
    assert (again.field, again.value, again.rule) == ("compute_name", "9", "must start with a letter")
    assert str(again) == "compute_name '9': must start with a letter"
    assert again.permanent


OPERATION_URL = (
    "https://management.azure.com/subscriptions/s/providers/Microsoft.MachineLearningServices/locations/eastus/"
    "mfeOperationsStatus/oeidp:11111111-2222:33333333-4444?api-version=2023-10-01&t=638700000000000000"
    f"&c=MIIHpTCCBo2g{'A' * 1800}&s=Q0hBUk1FRF9TSUdOQVRVUkU{'B' * 320}&h=aGFzaGhhc2ho{'C' * 31}"
)
"""As Resource Manager has signed them since 2024."""


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("https://sa/c?sv=1&sig=abc%2Bd&se=2", "abc%2Bd"),
        ("Authorization: Bearer eyJhbGci.x-y_z", "eyJhbGci"),
        ('{"primaryKey": "k1k1", "secondaryKey":"k2"}', "k1k1"),
        ("client_id=a&client_secret=hunter2&x=1", "hunter2"),
        ("AccountName=a;AccountKey=zz==;E=1", "zz=="),
        ('{"adminUserPassword":"pw"}', "pw"),
        ('{"access_token":"eyJ0"}', "eyJ0"),
        (OPERATION_URL, "MIIHpTCCBo2g"),
        (OPERATION_URL, "Q0hBUk1FRF9TSUdOQVRVUkU"),
        (OPERATION_URL, "aGFzaGhhc2ho"),
    ],
)
def test_secrets_are_taken_out_of_text(text, secret):
    """Signatures, tokens, keys and passwords do not stand in what is printed; the rest does."""
    shown = redact(text)
    assert secret not in shown
    assert "***" in shown
    assert shown[:5] == text[:5]


def test_innocent_text_is_left_alone():
    """Words that only look like secrets stay."""
    text = "design=blue the bearer of this, passwords are bad, assign=1 https://h/p?s=1&c=2&h=3"
    assert redact(text) == text


def test_an_operations_address_is_shown_short_and_with_its_id():
    """Of several KB, what a person can use is left: host, operation and version."""
    shown = redact(OPERATION_URL)
    assert len(shown) < 300
    assert "/mfeOperationsStatus/oeidp:11111111-2222:33333333-4444?api-version=2023-10-01&t=" in shown


def test_long_bodies_are_cut():
    """A body of megabytes leaves a line."""
    assert excerpt("x" * 9_999, 10) == "xxxxxxxxxx ... (9999 characters)"
    assert excerpt("short", 10) == "short"


def test_signature_of_a_url():
    """A log may show the signature as it stands in the URL, or as it is meant; a URL without one has none."""
    assert signatures_of("https://sa/c?sv=1&sig=a%2Fb+c") == ("a%2Fb+c", "a/b+c")
    assert signatures_of(OPERATION_URL) == ("Q0hBUk1FRF9TSUdOQVRVUkU" + "B" * 320,) * 2
    assert signatures_of("https://sa/c?s=1") == ()
    assert signatures_of("https://sa/c?sig=") == signatures_of("https://sa/c?design=x") == ()
