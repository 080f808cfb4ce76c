"""The history, execution and experiment services."""
