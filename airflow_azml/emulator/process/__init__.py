"""Child processes on this machine, and the virtual environments that they run in."""
