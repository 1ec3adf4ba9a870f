"""The gate: `make test` and `make test-all`, their parts, and what a failure means for the change."""
