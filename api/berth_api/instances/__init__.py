"""Instances of a user: /instances, /instance, /terminate."""
