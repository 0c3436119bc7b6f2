"""What at least two services use and what has no opinion about messages."""
