"""Ends an instance whose holder has gone silent."""
