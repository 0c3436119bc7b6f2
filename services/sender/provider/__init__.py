"""The WhatsApp Cloud API as a client sees it: one call, and what its answers mean."""
