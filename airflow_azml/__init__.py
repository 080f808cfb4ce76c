"""Apache Airflow provider for Azure Machine Learning.

Every DAG parse pays for what stands here, so nothing but the version does.
"""

__version__ = "0.1.0"
