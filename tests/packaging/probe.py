"""Run by a Python that has the wheel: print what Airflow finds of it. Needs nothing of this folder."""

import json
import sys
from importlib import import_module

import airflow
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

import airflow_azml
from airflow_azml.provider_info import get_provider_info

info = get_provider_info()
rooms = ("operators", "sensors", "hooks", "triggers")
modules = [name for room in rooms for row in info[room] for name in row["python-modules"]]
[form] = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "azureml"]
found = {
    "airflow": airflow.__version__,
    "python": sys.version,
    "file": airflow_azml.__file__,
    "modules": [import_module(name).__name__ for name in modules],
    "fields": {name: field["schema"] for name, field in form.extra_fields.items()},
    "login": form.standard_fields.login.title,
    "host hidden": form.standard_fields.host.hidden,
}
print(json.dumps(found))
