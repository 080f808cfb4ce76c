"""Settings of gunicorn in a deployment: those of azureml-inference-server-http, without a socket in the user's home.

gunicorn reads this file in the deployment's own Python. It ignores settings that it does not know.
"""

import os

workers = int(os.environ.get("WORKER_COUNT", "1"))
timeout = int(os.environ.get("WORKER_TIMEOUT", "300"))
preload_app = os.environ.get("WORKER_PRELOAD", "false").lower() == "true"
accesslog = errorlog = "-"
control_socket_disable = True
