"""Online endpoints, their deployments, and the processes that serve."""
