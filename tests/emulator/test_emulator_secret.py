"""The client secret of the emulator: made for each data folder, printed with the connection, or chosen by the user."""

from __future__ import annotations

import json
import stat
import subprocess
import sys

import pytest
import requests
from airflow.sdk.log import mask_secret, redact
from emulator_process import TENANT, EmulatorProcess, free_port

from airflow_azml.emulator.kernel import facts
from airflow_azml.testing import AzureMLEmulator

CHOSEN = "a-secret-of-my-own"


def sign_in(url, secret):
    form = {"grant_type": "client_credentials", "client_id": facts.CLIENT_ID, "client_secret": secret}
    form["scope"] = "https://management.azure.com/.default"
    return requests.post(f"{url}/{TENANT}/oauth2/v2.0/token", data=form, timeout=10).status_code


def password(emulator):
    return json.loads(emulator.connection)["password"]


def test_every_folder_has_a_secret_of_its_own(tmp_path, monkeypatch):
    """It is printed, signs in, is the same after a restart, and only its owner can read the file."""
    monkeypatch.delenv("AZUREML_EMULATOR_SECRET", raising=False)
    with AzureMLEmulator(tmp_path / "a") as one, AzureMLEmulator(tmp_path / "b") as other:
        first, second = password(one), password(other)
        assert (sign_in(one.url, first), sign_in(one.url, second), sign_in(one.url, facts.CLIENT_ID)) == (200, 401, 401)
    with AzureMLEmulator(tmp_path / "a") as again:
        assert password(again) == first
    file = tmp_path / "a" / "data" / "client-secret"
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (first, 0o600)


def test_a_secret_can_be_chosen(tmp_path, monkeypatch):
    """The variable AZUREML_EMULATOR_SECRET sets it, and the option --secret, which wins."""
    monkeypatch.setenv("AZUREML_EMULATOR_SECRET", CHOSEN)
    with AzureMLEmulator(tmp_path / "fixture") as emulator:
        assert (password(emulator), sign_in(emulator.url, CHOSEN)) == (CHOSEN, 200)
        assert not (emulator.folder / "data" / "client-secret").exists()
    process = EmulatorProcess(tmp_path / "data").start("--secret", CHOSEN[::-1])
    try:
        assert (sign_in(process.url, CHOSEN[::-1]), sign_in(process.url, process.secret)) == (200, 401)
    finally:
        process.stop()


@pytest.mark.parametrize("secret", ["local", facts.WORKSPACE, facts.RESOURCE_GROUP, facts.STORAGE_ACCOUNT])
def test_a_secret_that_is_a_word_is_refused(tmp_path, secret):
    """Airflow masks a secret wherever it stands: one that is short, or a name of the workspace, is refused."""
    command = [sys.executable, "-m", "airflow_azml.emulator", "--port", str(free_port()), "--data", str(tmp_path)]
    done = subprocess.run([*command, "--secret", secret], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "argument --secret: a secret has at least 16 characters" in done.stderr


def test_airflow_masks_the_secret_and_no_name(tmp_path):
    """With the printed connection known to Airflow's masker, addresses and resource ids are shown whole."""
    with AzureMLEmulator(tmp_path) as emulator:
        mask_secret(password(emulator))
        shown = f"{emulator.url} http://localhost/ {facts.WORKSPACE_PATH} {facts.STORAGE_ACCOUNT}"
    assert redact(shown) == shown
    assert redact(f"with {password(emulator)}") == "with ***"
