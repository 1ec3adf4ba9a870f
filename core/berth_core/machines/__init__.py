"""Machines at addresses of their own: where they may stand, and who may have their endpoints (ADR 0049)."""
