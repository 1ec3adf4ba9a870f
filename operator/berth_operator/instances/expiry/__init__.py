"""Notices before a lease ends, and the haste after that."""
