"""MLflow's tracking server and its artifact proxy."""
