"""Manifests of what a lease opens: pure functions from parameters to plain objects."""
