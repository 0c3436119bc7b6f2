"""Giving the archive back: read by a cursor on the server, written as it is read, in memory that does not grow with it."""
