"""Erasure of a person, as far as it is the same in every service: who is meant, the steps, and the tables that all schemas have."""
