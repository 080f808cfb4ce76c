"""Apache Airflow provider for Azure Machine Learning.

Only the version is here, because every DAG parse imports this module.
"""

__version__ = "0.1.0"
