"""The fake store against a real API server: the same requests, the same answers."""
