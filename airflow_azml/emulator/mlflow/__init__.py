"""MLflow's tracking API over the run history, the metrics and the artifacts."""
