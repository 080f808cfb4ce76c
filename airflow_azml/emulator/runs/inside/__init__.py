"""What the Python processes of a run load: this folder is on their PYTHONPATH. Standard library only."""
