"""Publishes which users are at their quota."""
