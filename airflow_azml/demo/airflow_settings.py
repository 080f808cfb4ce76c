"""How the demo's Airflow is set up: small, on the loopback interface, everything in one folder."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

USERNAME = PASSWORD = "admin"  # noqa: S105 - printed for the user, and good for this machine only
PASSWORDS_FILE = "passwords.json"
LOOPBACK = "127.0.0.1,localhost"


def base_environment() -> dict[str, str]:
    """Return our environment without what it says of another Airflow, and without a proxy before this machine."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW_")}
    for name in ("no_proxy", "NO_PROXY"):
        environment[name] = ",".join(filter(None, [environment.get(name), LOOPBACK]))
    return environment


def airflow_settings(home: Path, dags: Path, url: str) -> Mapping[str, str]:
    """Return the settings of an Airflow that answers at `url`, on this machine only."""
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",  # the connection form's Test button
        "AIRFLOW__CORE__PARALLELISM": "4",  # the default keeps 32 worker processes
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USERNAME}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(home / PASSWORDS_FILE),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": url.rpartition(":")[2],
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(64),
        # A new or edited DAG file shows after seconds instead of minutes; those that stay as they are cost little.
        "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "10",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
        # Without a host's name the api-server reads the log files itself and asks no log server: there is none, see
        # services.
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "builtins.str",
        # A worker that ends is sometimes noticed only after this time. Airflow fails a deferred task whose trigger has
        # fired meanwhile, and our triggers are quick.
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    }
