"""Probes whether machines answer at their addresses (``spec.health``, ADR 0050)."""
