"""One JSON object a line on standard error. Callers pass no keys, no key material and no request bodies."""

import json
import os
import time

_LIMITED_EVERY = 10.0
_last: dict[str, float] = {}
_held_back: dict[str, int] = {}


def event(name: str, level: str = "info", **fields: object) -> None:
    """Write one line; a standard error that nobody reads any more is no reason to stop guarding the door."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
    line = json.dumps({"timestamp": stamp, "level": level, "event": name, **fields}, default=str) + "\n"
    try:
        os.write(2, line.encode())
    except OSError:
        return


def limited(name: str, level: str = "info", **fields: object) -> None:
    """Write a line that a stranger can provoke: at most one in ten seconds for each name, with how many were held."""
    now = time.monotonic()
    if now - _last.get(name, -_LIMITED_EVERY) < _LIMITED_EVERY:
        _held_back[name] = _held_back.get(name, 0) + 1
        return
    _last[name] = now
    event(name, level, held_back=_held_back.pop(name, 0), **fields)
