"""Files of `az ml` are recognised wherever something else is expected, and nothing is sent."""

from __future__ import annotations

import re

import pytest

from airflow_azml.client.specs.aml_compute import AmlComputeSpec
from airflow_azml.client.specs.loading import read_yaml
from airflow_azml.client.specs.run_definition import run_definition
from airflow_azml.client.transport.errors import InputError

SCHEMA = "$schema: https://azuremlschemas.azureedge.net/latest/"
# By what `az ml` calls the file: its text, without and with the address of its schema.
FILES = {
    "a command job of Azure ML v2, which `az ml job create` takes": (
        "type: command\ncommand: python t.py ${{inputs.x}}\nenvironment: azureml:e:1\ncompute: azureml:cpu",
        f"{SCHEMA}commandJob.schema.json\ncommand: python t.py ${{{{inputs.x}}}}",
    ),
    "a pipeline job of Azure ML v2, which `az ml job create` takes": (
        "type: pipeline\njobs: {a: {type: command}}",
        f"{SCHEMA}pipelineJob.schema.json\njobs: {{}}",
    ),
    "an online endpoint of Azure ML v2, which `az ml online-endpoint create` takes": (
        "name: shop\nauth_mode: key",
        f"{SCHEMA}managedOnlineEndpoint.schema.json\nname: shop",
    ),
    "an online deployment of Azure ML v2, which `az ml online-deployment create` takes": (
        "name: blue\nendpoint_name: shop\nmodel: azureml:m:1\ncode_configuration: {code: ., scoring_script: s.py}",
        f"{SCHEMA}managedOnlineDeployment.schema.json\nname: blue",
    ),
    "a compute cluster of Azure ML v2, which `az ml compute create` takes": (
        "name: cpu\ntype: amlcompute\nsize: STANDARD_DS3_v2\nmax_instances: 2",
        f"{SCHEMA}amlCompute.schema.json\nname: cpu",
    ),
}
PLACES = {
    "run_definition": lambda _, given: run_definition(given, "run_definition"),
    "endpoint": lambda client, given: client.endpoints.ensure("shop", given),
    "deployment": lambda client, given: client.deployments.ensure("shop", "blue", given),
    "cluster": lambda _, given: AmlComputeSpec.read(spec=given),
    "compute": lambda client, given: client.computes.create("cpu", given),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("what", FILES)
@pytest.mark.parametrize("number", [0, 1], ids=["by its members", "by its schema"])
def test_a_file_of_az_ml_is_told_from_what_is_expected(client, requests_mock, place, what, number):
    """The message says what the file is, which command takes it, and what is needed instead."""
    given = read_yaml(FILES[what][number], "spec")
    with pytest.raises(InputError, match=re.escape(f"this is {what}; needed is ")):
        PLACES[place](client, given)
    assert requests_mock.request_history == []
