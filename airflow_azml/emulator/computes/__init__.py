"""Computes: clusters whose nodes come and go with the demand, and instances."""
