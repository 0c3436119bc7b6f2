"""HTTP in: parse, call, render. No rules, no SQL."""
