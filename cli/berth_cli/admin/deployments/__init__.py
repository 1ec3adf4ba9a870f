"""``berth deployment``, ``status`` and ``release``."""
