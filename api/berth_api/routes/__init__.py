"""Routes: read parameters, call a service, shape the answer."""
