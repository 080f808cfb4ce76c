"""A request to a model that fails: its error shows what the containers have printed, and nothing hides the reason."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from airflow_azml.client.lifecycle import Target
from airflow_azml.client.transport.errors import ModelError, NotFoundError, PermissionDeniedError, ServiceError
from airflow_azml.runtime.scoring import score


class Client:
    """A client whose endpoint answers with an error.

    :param error: of the request.
    :param traffic: of the endpoint, or the error of the one who asks for it.
    """

    def __init__(self, error, traffic):
        self.endpoints = SimpleNamespace(score=lambda *_, **__: raises(error), get=lambda _: shares(traffic))
        self.deployments = SimpleNamespace(target=lambda name, endpoint: Target("deployments", name, endpoint))

    def log(self, target):
        return [f"last line of {target.name}"]


def raises(error):
    raise error


def shares(traffic):
    return raises(traffic) if isinstance(traffic, Exception) else SimpleNamespace(traffic=traffic)


def failed(error, traffic, deployment=None):
    with pytest.raises(type(error)) as caught:
        score(Client(error, traffic), "shop", {}, deployment=deployment, timeout=1)
    return caught.value


@pytest.mark.parametrize("error", [ModelError("no", status_code=424), ServiceError("no", status_code=408)])
def test_the_logs_of_all_deployments_that_may_have_answered_are_in_the_error(error):
    """Those with traffic, or the one that was asked."""
    said = str(failed(error, {"blue": 90, "green": 10, "old": 0}))
    assert "Log of deployment blue:\nlast line of blue\nLog of deployment green:\nlast line of green" in said
    assert "old" not in said
    said = str(failed(error, {"blue": 100}, "old"))
    assert ("last line of old" in said, "blue" in said) == (True, False)


def test_a_log_that_cannot_be_looked_for_does_not_hide_why_the_model_failed():
    """The error stays the model's, with a line that says why there is no log."""
    error = ModelError("the model answered 500: KeyError", operation="score", status_code=424)
    raised = failed(error, PermissionDeniedError("you may not", operation="get endpoint"))
    assert raised is error
    assert "the model answered 500: KeyError" in str(raised)
    assert "(which deployments have answered is not known: get endpoint failed: you may not" in str(raised)


def test_other_errors_are_no_failure_of_the_model():
    """An endpoint that does not exist has no log."""
    assert "Log of" not in str(failed(NotFoundError("no such endpoint"), {"blue": 100}))
