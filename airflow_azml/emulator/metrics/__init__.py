"""Metrics of runs, for the three services that bring and read them."""
