"""Definitions and specs that users write, as a dict or a file: checked, and converted to request bodies."""
