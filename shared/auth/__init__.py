"""Proofs: API keys, webhook signatures, sealed secrets."""
