"""The operator's settings, read from its environment once."""
