"""What the archive can be asked over HTTP: declared once, served here, passed through by the gateway."""
