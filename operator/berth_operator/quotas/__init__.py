"""Says which users have as many objects as they may."""
