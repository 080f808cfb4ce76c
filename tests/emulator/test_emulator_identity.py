"""Who may call: tokens of the emulator's identity provider, and what every other Authorization header gets."""

from __future__ import annotations

import time
from pathlib import Path

import jwt
import pytest
import requests
from emulator_process import TENANT

WORKSPACE = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local"
    "/providers/Microsoft.MachineLearningServices/workspaces/local"
)
ARM_CALL = WORKSPACE + "/computes?api-version=2023-10-01"
REGIONAL_CALL = "/rp/workspaces" + WORKSPACE + "/computes"


def sign_in(emulator, endpoint="v2.0/", tenant=TENANT, **form):
    whole = {"grant_type": "client_credentials", "client_id": "local", "client_secret": emulator.secret, **form}
    return requests.post(f"{emulator.url}/{tenant}/oauth2/{endpoint}token", data=whole, timeout=10)


def get(emulator, path, authorization=None):
    headers = {"Authorization": authorization} if authorization is not None else {}
    return requests.get(emulator.url + path, headers=headers, timeout=10)


def test_v2_token_is_a_signed_jwt_for_the_asked_scope(emulator):
    """The token verifies with the published key and carries aud, tid and exp; lifetimes are numbers."""
    answer = sign_in(emulator, scope="https://ml.azure.com/.default").json()
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3599)
    configuration = requests.get(f"{emulator.url}/{TENANT}/v2.0/.well-known/openid-configuration", timeout=10).json()
    keys = jwt.PyJWKSet.from_dict(requests.get(configuration["jwks_uri"], timeout=10).json())
    key = keys[jwt.get_unverified_header(answer["access_token"])["kid"]]
    claims = jwt.decode(answer["access_token"], key, algorithms=["RS256"], audience="https://ml.azure.com")
    assert (claims["tid"], claims["iss"]) == (TENANT, configuration["issuer"])
    assert claims["exp"] > time.time()


def test_v2_scope_of_a_resource_with_a_slash_keeps_the_slash(emulator):
    """`https://management.core.windows.net//.default` is the audience with its own trailing slash."""
    token = sign_in(emulator, scope="https://management.core.windows.net//.default").json()["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["aud"] == "https://management.core.windows.net/"


def test_v1_token_is_for_the_asked_resource(emulator):
    """The v1 endpoint takes a resource and answers its numbers as strings."""
    answer = sign_in(emulator, endpoint="", resource="https://management.azure.com/").json()
    assert (answer["expires_in"], answer["resource"]) == ("3599", "https://management.azure.com/")
    assert int(answer["expires_on"]) - int(answer["not_before"]) == 3599
    assert get(emulator, ARM_CALL, f"Bearer {answer['access_token']}").status_code == 200


@pytest.mark.parametrize(
    ("form", "status", "error", "number"),
    [
        ({"client_secret": "local"}, 401, "invalid_client", 7000215),
        ({"client_secret": "\u00fc"}, 401, "invalid_client", 7000215),
        ({"client_id": "stranger"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
        ({"scope": ""}, 400, "invalid_request", 900144),
        ({"scope": "https://management.azure.com"}, 400, "invalid_scope", 1002012),
        ({"scope": "openid profile"}, 400, "invalid_scope", 1002012),
        ({"scope": "https://stranger.example/.default"}, 400, "invalid_resource", 500011),
        ({"scope": "https://management.azure.com/a/.default"}, 400, "invalid_resource", 500011),
        ({"endpoint": "", "resource": "https://stranger.example"}, 400, "invalid_resource", 500011),
        ({"endpoint": ""}, 400, "invalid_request", 900144),
        ({"tenant": "22222222-2222-2222-2222-222222222222"}, 400, "invalid_request", 90002),
        ({"tenant": "stranger.onmicrosoft.com"}, 400, "invalid_request", 90002),
        ({"tenant": "local"}, 400, "invalid_request", 900023),
    ],
)
def test_refusals_of_the_token_endpoint_give_the_reason(emulator, form, status, error, number):
    """Secret, application, flow, scope, resource and tenant: what is wrong is told as Entra ID tells it."""
    answer = sign_in(emulator, **{"scope": "https://management.azure.com/.default", **form})
    body = answer.json()
    assert (answer.status_code, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")


@pytest.mark.parametrize("path", [ARM_CALL, REGIONAL_CALL, "/subscriptions?api-version=2022-12-01"])
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "Bearer not.a.jwt", "Bearer \xff", "Basic bG9jYWw6bG9jYWw="]
)
def test_no_call_without_a_valid_token(emulator, path, authorization):
    """Resource Manager and the regional services answer 401 with a challenge to whatever is not a bearer token."""
    answer = get(emulator, path, authorization.encode("latin-1") if authorization else authorization)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")
    error = answer.json()["error"]
    assert "AuthenticationFailed" in {error["code"], error.get("innerError", {}).get("code")}


@pytest.mark.parametrize("address", ["/{}/v2.0/.well-known/openid-configuration", "/{}/discovery/keys"])
def test_an_unknown_tenant_has_no_configuration(emulator, address):
    """Neither endpoints nor keys are told for a tenant that does not exist."""
    answer = get(emulator, address.format("22222222-2222-2222-2222-222222222222"))
    assert (answer.status_code, answer.json()["error"], answer.json()["error_codes"]) == (
        400,
        "invalid_tenant",
        [90002],
    )


@pytest.mark.parametrize(
    ("audience", "arm", "regional"),
    [
        ("https://management.azure.com", 200, 200),
        ("https://management.azure.com/", 200, 200),
        ("https://management.core.windows.net/", 200, 200),
        ("https://ml.azure.com", 401, 200),
        ("https://graph.microsoft.com", 401, 401),
        ("https://storage.azure.com/", 401, 401),
    ],
)
def test_a_token_opens_what_it_was_asked_for(emulator, audience, arm, regional):
    """Resource Manager takes its own tokens only, the regional services those of Azure ML, too."""
    token = f"Bearer {emulator.sign_in(audience)}"
    answers = [get(emulator, ARM_CALL, token), get(emulator, REGIONAL_CALL, token)]
    assert [answer.status_code for answer in answers] == [arm, regional]
    for answer in answers:
        if answer.status_code == 401:
            error = answer.json()["error"]
            assert error.get("innerError", error)["code"] == "InvalidAuthenticationTokenAudience"
            assert f"wrong audience or resource '{audience}'" in error["message"]


def test_a_custom_cloud_is_its_own_audience(emulator):
    """A token for the emulator's address is good at that address, over HTTPS and plain HTTP, and at no other."""
    token = f"Bearer {emulator.sign_in(emulator.url)}"
    assert get(emulator, ARM_CALL, token).status_code == 200
    answer = requests.get(
        emulator.tls_url + ARM_CALL, headers={"Authorization": token}, verify=emulator.data / "ca.pem", timeout=10
    )
    assert answer.status_code == 200
    headers = {"Authorization": token, "Host": "localhost"}
    assert requests.get(emulator.url + ARM_CALL, headers=headers, timeout=10).status_code == 401


def test_forged_and_expired_tokens_are_refused(fresh_emulator):
    """A token signed by another key, by none at all, or with the right key in the past opens nothing."""
    claims = jwt.decode(fresh_emulator.token, options={"verify_signature": False})
    key = (Path(fresh_emulator.data) / "signing-key.pem").read_bytes()
    past = {**claims, "exp": int(time.time()) - 1}
    tokens = [
        jwt.encode(claims, "x" * 64, algorithm="HS256"),
        jwt.encode(claims, None, algorithm="none"),
        jwt.encode({name: value for name, value in claims.items() if name != "tid"}, key, algorithm="RS256"),
        jwt.encode({**claims, "tid": "22222222-2222-2222-2222-222222222222"}, key, algorithm="RS256"),
        jwt.encode(past, key, algorithm="RS256"),
    ]
    answers = [get(fresh_emulator, ARM_CALL, f"Bearer {token}") for token in tokens]
    assert [answer.status_code for answer in answers] == [401] * 5
    assert "expiry" in answers[-1].json()["error"]["message"]


def test_tokens_outlive_a_restart(fresh_emulator):
    """The signing key is kept, so that a client goes on with its token after the emulator was killed."""
    assert fresh_emulator.arm("GET", "/computes").status_code == 200
    fresh_emulator.kill()
    fresh_emulator.start()
    assert fresh_emulator.arm("GET", "/computes").status_code == 200


def instance(emulator, authority, version="1.1", host=None):
    url = f"{emulator.url}/common/discovery/instance"
    query = {"api-version": version, "authorization_endpoint": authority}
    return requests.get(url, params=query, headers={"Host": host} if host else {}, timeout=10)


def test_the_login_host_knows_its_own_instance(emulator):
    """Instance discovery, with which msal starts, leads to the configuration of the tenant that it asks for."""
    own = emulator.url.removeprefix("http://")
    answer = instance(emulator, f"https://{own}/{TENANT}/oauth2/v2.0/authorize").json()
    configuration = answer["tenant_discovery_endpoint"]
    assert configuration == f"{emulator.url}/{TENANT}/v2.0/.well-known/openid-configuration"
    assert requests.get(configuration, timeout=10).json()["token_endpoint"].startswith(f"{emulator.url}/{TENANT}/")
    assert answer["metadata"] == [{"preferred_network": own, "preferred_cache": own, "aliases": [own]}]
    older = instance(emulator, f"https://{own}/{TENANT}/oauth2/authorize", version="1.0").json()
    assert older == {"tenant_discovery_endpoint": f"{emulator.url}/{TENANT}/.well-known/openid-configuration"}


def test_the_login_host_has_azures_names_for_who_uses_them(emulator):
    """Under Azure's own name, the other names of the login host are aliases."""
    login = "login.microsoftonline.com"
    names = instance(emulator, f"https://{login}/common/oauth2/v2.0/authorize", host=login).json()["metadata"][0]
    assert (names["preferred_network"], names["preferred_cache"]) == (login, "login.windows.net")
    assert {login, "login.windows.net", "sts.windows.net"} <= set(names["aliases"])


@pytest.mark.parametrize("authority", ["https://evil.example/common/oauth2/authorize", "nonsense", ""])
def test_an_unknown_instance_is_refused(emulator, authority):
    """A host that is not a login host of this cloud is AADSTS50049."""
    answer = instance(emulator, authority)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_instance")
    assert answer.json()["error_description"].startswith("AADSTS50049: ")
