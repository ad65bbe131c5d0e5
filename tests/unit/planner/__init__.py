"""The plan layer."""
