"""An API server for tests and benches, and what plays the rest of a cluster."""
