"""The front door: the provider's own API, so that its clients need another base URL and nothing else."""
