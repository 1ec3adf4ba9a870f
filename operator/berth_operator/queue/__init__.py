"""Gives waiters their turn."""
