"""Azure ML over HTTP.

This room knows the service and nothing of Airflow: it can be used from a notebook or a test. Importing it, or any
module that a DAG file needs while it is parsed, loads neither ``requests`` nor ``msal``: only the first call does.
"""
