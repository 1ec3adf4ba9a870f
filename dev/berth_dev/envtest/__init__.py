"""An API server for tests and benches, and code that plays the rest of a cluster."""
