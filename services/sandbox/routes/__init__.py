"""HTTP in: the Graph paths and, beside them, the control API."""
