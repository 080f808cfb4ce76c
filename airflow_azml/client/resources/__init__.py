"""The kinds of resources of Azure ML. Each is one class in one file: its value, its statuses, its operations."""
