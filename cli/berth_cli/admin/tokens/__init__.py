"""``berth token``."""
