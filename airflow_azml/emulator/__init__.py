"""Azure Machine Learning on this machine: it trains, serves and scales in real processes.

It is an independent reading of the service's published contract: it imports nothing of the provider, and the provider
nothing of it, so that each can catch the other's mistakes. What it does not implement answers a named 501.
"""
