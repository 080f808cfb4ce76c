"""Versioned assets of Resource Manager: codes and environments."""
