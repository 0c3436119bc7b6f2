"""What the scheduler answers beside its probes."""
