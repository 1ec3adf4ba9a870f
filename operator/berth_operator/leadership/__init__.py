"""Elects the one process that acts, and says how long it may."""
