"""What operators see and do, over all services."""
