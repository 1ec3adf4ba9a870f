"""Warnings before a lease ends."""
