"""Server-sent events (WHATWG HTML, section 9.2.6) as the log of a build sends them. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LINE = "message"
"""Events without a name of their own."""


@dataclass(frozen=True)
class Event:
    """One event; ``id`` is the last id so far, with which a stream resumes after a break."""

    name: str
    data: str
    id: str | None


def events(lines: Iterable[bytes]) -> Iterator[Event]:
    """Read a stream's lines, without their ends; comments are heartbeats, and an unfinished event does not count.

    >>> list(events([b"id: 1", b"data: hello", b""]))
    [Event(name='message', data='hello', id='1')]
    """
    name, data, last = LINE, list[str](), None
    for raw in lines:
        text = raw.decode("utf-8", "replace")
        if not text:
            if data:
                yield Event(name, "\n".join(data), last)
            name, data = LINE, []
            continue
        field, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last = value
