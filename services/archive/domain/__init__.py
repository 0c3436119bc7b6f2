"""The archive's values and decisions. Pure: no await, no clock, no randomness, no I/O."""
