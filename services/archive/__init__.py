"""The memory: keeps every message in and out for good, and lets it be read and searched."""
