"""Lines for the journal: one JSON object each. Nothing secret goes in."""

from __future__ import annotations

import json
import sys


def event(what: str, level: str = "info", **fields: object) -> None:
    """Write one line to standard error, which systemd puts into the journal."""
    line = {"level": level, "event": what, **fields}
    sys.stderr.write(json.dumps(line, default=str) + "\n")
    sys.stderr.flush()
