# Airflow with this provider, Celery's worker and the emulator in one image, at the versions that are tested.
FROM python:3.11-slim-bookworm

ENV AIRFLOW_HOME=/opt/airflow \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONUNBUFFERED=1

# The folders become volumes, which take their owner from here.
RUN useradd --uid 50000 --gid 0 --home-dir "$AIRFLOW_HOME" --create-home airflow \
 && install --directory --owner airflow --group 0 "$AIRFLOW_HOME/azureml" "$AIRFLOW_HOME/dags" "$AIRFLOW_HOME/logs"

WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY airflow_azml airflow_azml
COPY dags dags
RUN pip install --constraint constraints.txt ".[celery,emulator]"

USER 50000
WORKDIR $AIRFLOW_HOME
