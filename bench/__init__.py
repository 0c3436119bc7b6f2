"""Figures, never pass or fail: `make bench` prints a table per scenario and keeps a JSON file under `bench/results/`."""
