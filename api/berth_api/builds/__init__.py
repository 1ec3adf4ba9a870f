"""Builds and projects: /ci."""
