"""Resource Manager's endpoints and deployments, and the scoring host."""
