"""How long one waits: /qlen."""
