"""The model registry: one for both generations of the API."""
