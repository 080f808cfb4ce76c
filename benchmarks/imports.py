"""What importing our operators adds to a DAG file that imports `airflow.sdk` already: milliseconds and megabytes.

Every DAG processor pays it for every file, every time. Each figure is the median of fresh processes, taken in turn so
that noise meets all alike. Providers of other services are measured beside ours where they are installed; `--install`
makes an environment with some of them and this checkout, for the same Airflow, and removes it afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from airflow_azml.provider_info import get_provider_info

BARE = "from airflow.sdk import DAG, BaseOperator, BaseOperatorLink, BaseSensorOperator"
PROVIDER = get_provider_info()
OURS = ", ".join(name for room in ("operators", "sensors") for row in PROVIDER[room] for name in row["python-modules"])
CANDIDATES = {
    "airflow-azml (all operators and sensors)": OURS,
    "amazon: SageMaker": "airflow.providers.amazon.aws.operators.sagemaker",
    "databricks": "airflow.providers.databricks.operators.databricks",
    "dbt Cloud": "airflow.providers.dbt.cloud.operators.dbt",
    "google: Vertex AI": "airflow.providers.google.cloud.operators.vertex_ai.custom_job",
    "microsoft: Data Factory": "airflow.providers.microsoft.azure.operators.data_factory",
    "azure-machinelearning (discontinued)": "airflow_provider_azure_machinelearning.operators.machine_learning",
}
RIVALS = [f"apache-airflow-providers-{name}" for name in ("amazon", "databricks", "dbt-cloud", "microsoft-azure")]
AIRFLOW = ("apache-airflow-core", "apache-airflow-task-sdk")
# A run that is not counted writes the bytecode, as any installation has it.
PROBE = """
import json, sys, time
{bare}

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096

before, modules, started = resident(), len(sys.modules), time.perf_counter()
import {module}
print(json.dumps({{"ms": 1000 * (time.perf_counter() - started), "mb": (resident() - before) / 2**20,
                   "modules": len(sys.modules) - modules}}))
"""


def probe(module: str) -> dict[str, float]:
    """Import a module in a fresh process and return what it cost there."""
    script = PROBE.format(bare=BARE, module=module)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    cost: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return cost


def install(folder: Path) -> Path:
    """Make an environment with other providers and this checkout; return its Python."""
    python = folder / "bin" / "python"
    uv = shutil.which("uv")
    subprocess.run([uv, "venv", "--quiet", f"--python={sys.executable}", folder] if uv else
                   [sys.executable, "-m", "venv", folder], check=True)  # fmt: skip
    pip = [uv, "pip", "install", f"--python={python}"] if uv else [python, "-m", "pip", "install"]
    same = [f"{name}=={version(name)}" for name in AIRFLOW]
    subprocess.run([*pip, "--quiet", *same, "--editable", Path(__file__).parents[1], *RIVALS], check=True)
    return python


def installed(module: str) -> bool:
    """Tell whether the module can be imported here."""
    try:
        return find_spec(module.partition(",")[0]) is not None
    except ModuleNotFoundError:
        return False


def measure(repetitions: int) -> dict[str, dict[str, float]]:
    """Return the median cost of every candidate that is installed."""
    here = {name: module for name, module in CANDIDATES.items() if installed(module)}
    for module in here.values():
        probe(module)
    rounds = [{name: probe(module) for name, module in here.items()} for _ in range(repetitions)]
    return {
        name: {key: round(statistics.median(one[name][key] for one in rounds), 2) for key in ("ms", "mb", "modules")}
        for name in here
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=9, help="processes for each figure")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--install", action="store_true", help="beside other providers, in an environment made for it")
    options = parser.parse_args()
    if options.install:
        with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
            again = [argument for argument in sys.argv if argument != "--install"]
            sys.exit(subprocess.run([install(Path(folder)), *again], check=False).returncode)
    costs = measure(options.repetitions)
    if options.json:
        print(json.dumps(costs))
        return
    print(f"Import cost beyond a bare airflow.sdk, median of {options.repetitions} processes")
    for name, cost in costs.items():
        print(f"  {name:42} {cost['ms']:8.1f} ms {cost['mb']:8.2f} MB {cost['modules']:6.0f} modules")


if __name__ == "__main__":
    main()
