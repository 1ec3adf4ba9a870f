"""Tokens, words and certificates of connectors, for operator, hub and command line (ADR 0057)."""
