"""Warnings before a lease ends, and priority for overdue ends."""
