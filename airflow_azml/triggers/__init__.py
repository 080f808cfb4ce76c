"""Waiting in the triggerer, which needs no worker."""
