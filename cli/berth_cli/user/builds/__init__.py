"""``berth ci``."""
