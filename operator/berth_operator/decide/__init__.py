"""Decisions: pure functions from what was observed to what to do next. No I/O, no clock."""
