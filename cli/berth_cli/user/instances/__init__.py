"""``berth new``, ``list``, ``info``, ``extend`` and ``end``."""
