"""Times for people: how long ago, how long still. Pure."""

import re
from datetime import datetime, timedelta


def parse(text: str) -> datetime:
    """Read an RFC 3339 time."""
    return datetime.fromisoformat(text)


def length(seconds: float) -> str:
    """Write a length of time by its two largest units.

    >>> length(59), length(3720), length(200000), length(-3)
    ('59s', '1h02m', '2d07h', '0s')
    """
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole}s"
    minutes, seconds_left = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{seconds_left:02}s" if minutes < 10 else f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{minutes:02}m"
    days, hours = divmod(hours, 24)
    return f"{days}d{hours:02}h" if days < 10 else f"{days}d"


def whole(text: str) -> str:
    """Cut the fraction of a second from an RFC 3339 time.

    >>> whole("2026-05-01T12:00:00.402485Z")
    '2026-05-01T12:00:00Z'
    """
    return re.sub(r"\.[0-9]+", "", text)


def ago(text: str | None, now: datetime) -> str | None:
    """Say how long ago a time is."""
    return length((now - parse(text)) / timedelta(seconds=1)) if text else None


def left(text: str | None, now: datetime) -> str | None:
    """Say how long it is to a time."""
    return length((parse(text) - now) / timedelta(seconds=1)) if text else None
