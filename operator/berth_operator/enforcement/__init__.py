"""Finds out whether the cluster enforces NetworkPolicy (ADR 0015)."""
