"""Waiters for deployments: their order, and the access rules that let them in."""
