"""Sensors: wait for runs and resources that others have started."""
