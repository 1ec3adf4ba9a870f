"""Speaks with the cluster's API server: objects, one client, caches, conditions, the store's time."""
