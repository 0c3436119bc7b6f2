"""What providers tell us: taken, made durable, read and told as events."""
