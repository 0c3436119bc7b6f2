"""Statistics that are kept beside the entries: counted a little later, by rule, and read without reading entries."""
