"""Find entries by what they say, newest first or the most relevant first."""
