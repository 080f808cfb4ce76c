"""HTTP to Azure: requests, tokens, clouds, errors, repetition, masking, long-running operations.

This room knows no resource of Azure ML and no path.
"""
