"""Print the .env of docker-compose.yaml: new random secrets, and the connection to the emulator (see `make env`).

It needs nothing but Python's standard library: who has Docker need not have anything of this project installed.
"""

from __future__ import annotations

import base64
import json
import secrets

SECRET = secrets.token_urlsafe(30)

# What `airflow-azml emulator` prints, seen from the other containers. Put your own workspace here for the real service.
EMULATOR = {
    "conn_type": "azureml",
    "login": "local",
    "password": SECRET,
    "extra": {
        "cloud": "Custom",
        "authority_url": "https://emulator:8743",
        "resource_manager_url": "https://emulator:8743",
        "studio_url": "http://127.0.0.1:8700",  # for the browser, which is outside
        "ca_bundle": "/opt/airflow/azureml/ca.pem",
        "tenant_id": "00000000-0000-0000-0000-000000000001",
        "subscription_id": "00000000-0000-0000-0000-000000000000",
        "resource_group": "local",
        "workspace_name": "local",
    },
}

VARIABLES = {
    "POSTGRES_PASSWORD": secrets.token_hex(24),
    "REDIS_PASSWORD": secrets.token_hex(24),
    "AIRFLOW_FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "AIRFLOW_API_SECRET_KEY": secrets.token_hex(32),
    "AIRFLOW_JWT_SECRET": secrets.token_hex(64),
    "AZUREML_EMULATOR_SECRET": SECRET,
    "AIRFLOW_CONN_AZUREML_DEFAULT": json.dumps(EMULATOR),
}

if __name__ == "__main__":
    for name, value in VARIABLES.items():
        print(f"{name}='{value}'")
