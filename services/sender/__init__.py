"""The only one that calls the provider: paces, sends each attempt at most once, and tells how it ended."""
