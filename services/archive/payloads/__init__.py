"""What the archive's HTTP interface takes and gives; the gateway passes it on to tenants as it is."""
