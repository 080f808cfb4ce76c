"""Waiting for what something else has started."""
