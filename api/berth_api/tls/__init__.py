"""TLS of the API process."""
