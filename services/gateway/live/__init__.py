"""Live updates: what is told to tenants who read at this moment, over server-sent events or a WebSocket."""
