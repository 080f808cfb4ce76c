"""From an Airflow connection to a client: only this package knows the fields of a connection."""
