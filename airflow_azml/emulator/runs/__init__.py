"""The run history, and the executor that works on its runs."""
