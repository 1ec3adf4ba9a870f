"""Lengths of time as people write them. Pure."""

import re
from datetime import timedelta
from typing import Final

UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_FORM: Final = re.compile(r"([0-9]{1,9})([smhdw])")


def parse(text: str) -> timedelta:
    """Read a length such as ``90s``, ``12h`` or ``30d``. Raises ValueError.

    >>> parse("12h")
    datetime.timedelta(seconds=43200)
    """
    match = _FORM.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ValueError(f"{text!r} is no length of time: write a number and a unit, such as 90s, 45m, 12h, 30d or 2w")
    try:
        return timedelta(seconds=int(match[1]) * UNITS[match[2]])
    except OverflowError as error:
        raise ValueError(f"{text!r} is longer than anything lasts") from error
