"""What a service lets operators see and do; the gateway asks each for its part."""
