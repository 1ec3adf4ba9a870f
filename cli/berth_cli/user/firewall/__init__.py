"""``berth firewall``."""
