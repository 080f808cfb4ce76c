"""The pytest plugin under its former name, for environments whose entry point still names it."""

from airflow_azml.testing.pytest_plugin import azureml_emulator, azureml_emulator_process

__all__ = ["azureml_emulator", "azureml_emulator_process"]
