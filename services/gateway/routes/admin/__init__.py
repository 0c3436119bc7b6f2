"""The operational paths."""
