"""Run by a Python that has the wheel: print what Airflow finds of it. Needs nothing of this folder."""

import json
import sys
from importlib import import_module

import airflow
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

import airflow_azml
from airflow_azml.demo.examples import example_dags
from airflow_azml.provider_info import get_provider_info

try:
    from airflow.dag_processing.dagbag import DagBag
except ImportError:  # Airflow 3.1
    from airflow.models.dagbag import DagBag

info = get_provider_info()
rooms = ("operators", "sensors", "hooks", "triggers")
modules = [name for room in rooms for row in info[room] for name in row["python-modules"]]
[form] = [meta for meta in HookMetaService.hook_meta_data() if meta.connection_type == "azureml"]
sys.path.append(str(example_dags()))  # as Airflow does with a folder of DAGs
examples = DagBag(example_dags())
found = {
    "airflow": airflow.__version__,
    "python": sys.version,
    "file": airflow_azml.__file__,
    "modules": [import_module(name).__name__ for name in modules],
    "fields": {name: field["schema"] for name, field in form.extra_fields.items()},
    "login": form.standard_fields.login.title,
    "host hidden": form.standard_fields.host.hidden,
    "examples": str(example_dags()),
    "dags": sorted(examples.dags),
    "import errors": examples.import_errors,
}
print(json.dumps(found))
