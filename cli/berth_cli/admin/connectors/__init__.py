"""Connectors: their keys, and the commands for hosts."""
