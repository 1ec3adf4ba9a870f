"""Deletes expired, stale and orphaned objects."""
