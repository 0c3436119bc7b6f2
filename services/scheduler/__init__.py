"""Owns time: holds every message until it is due and its number has room, then releases it."""
