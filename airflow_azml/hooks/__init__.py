"""From an Airflow connection to a client: the only room that knows how a connection is laid out."""
