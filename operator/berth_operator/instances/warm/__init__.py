"""Pods that are kept warm for a deployment (ADR 0013)."""
