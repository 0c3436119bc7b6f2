"""Callbacks: tenants are told at their own addresses what happens, beside the sending and never in its way."""
