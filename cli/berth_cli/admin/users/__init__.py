"""``berth user``."""
