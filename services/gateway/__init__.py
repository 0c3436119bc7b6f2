"""The edge: the tenants' API, the provider's webhooks, and the public state of every message."""
