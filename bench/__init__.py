"""Figures, never pass or fail: `make bench` prints a table and keeps a JSON file under `bench/results/`."""
