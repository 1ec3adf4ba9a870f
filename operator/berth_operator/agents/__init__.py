"""Speaks with the agents in the pods of leases."""
