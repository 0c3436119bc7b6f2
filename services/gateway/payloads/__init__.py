"""The bodies of the public API, a file per resource."""
