"""Lines of logs, and server-sent events (WHATWG HTML, section 9.2). Pure."""

from typing import Final

LONGEST_LINE: Final = 64 * 1024
"""Bytes; longer lines are split, which bounds the memory they take."""
HEARTBEAT: Final = b": still here\n\n"


class Splitter:
    """Cuts a stream of bytes into lines, without their ends."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now."""
        *whole, rest = (bytes(self._pending) + data).split(b"\n")
        self._pending = bytearray(rest)
        lines = [piece for line in whole for piece in _pieces(line)]
        while len(self._pending) > LONGEST_LINE:
            lines.append(bytes(self._pending[:LONGEST_LINE]))
            del self._pending[:LONGEST_LINE]
        return lines

    def rest(self) -> list[bytes]:
        """Return the last line where it has no end."""
        last = bytes(self._pending)
        self._pending.clear()
        return [last] if last else []


def _pieces(line: bytes) -> list[bytes]:
    return [line[at : at + LONGEST_LINE] for at in range(0, max(len(line), 1), LONGEST_LINE)]


def line_event(number: int, line: bytes) -> bytes:
    """Return the event of a line of a log; its number is the event's id, by which a client goes on after a break.

    Carriage returns end lines of an event stream, so overwritten text becomes several lines of one event.
    """
    text = line.removesuffix(b"\r").decode(errors="replace")
    data = "".join(f"data: {part}\n" for part in text.split("\r"))
    return f"id: {number}\n{data}\n".encode()


def named_event(name: str, data: str) -> bytes:
    """Return an event with a name, such as ``status``."""
    return f"event: {name}\ndata: {data}\n\n".encode()
