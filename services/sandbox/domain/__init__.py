"""What WhatsApp decides, as pure values: payloads, limits, conducts, webhooks. No clock, no I/O, no randomness."""
