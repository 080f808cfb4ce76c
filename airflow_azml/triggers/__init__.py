"""Waiting in the triggerer, where it costs no worker."""
