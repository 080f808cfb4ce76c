"""The emulator's own switches, for tests: faults, request limits, speed."""
