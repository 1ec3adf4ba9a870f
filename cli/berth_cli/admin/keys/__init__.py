"""``berth key``."""
