"""What is watched: rules and dashboards over the metrics of `shared.telemetry.catalogue`."""
