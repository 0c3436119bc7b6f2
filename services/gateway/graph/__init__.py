"""The front door: the Cloud API as its clients know it, and the way on to the provider."""
