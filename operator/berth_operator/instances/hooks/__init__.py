"""Hooks: Jobs before the workspace opens and after the lease has ended."""
