"""``berth webhook``."""
