"""Relays of machines: what the keeper is asked to do, above all at the end of a lease (ADR 0054)."""
