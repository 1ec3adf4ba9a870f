"""``berth restore``."""
