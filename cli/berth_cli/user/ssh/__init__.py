"""``berth ssh``, ``scp`` and ``port-forward``."""
