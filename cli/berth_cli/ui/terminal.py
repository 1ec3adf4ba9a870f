"""Standard output and error on a terminal: control characters from others are shown, not obeyed.

Texts of the API, of resources and of builds' logs may hold control characters, which could rename the window, hide
output, or answer in the user's place. Files and pipes get every byte unchanged.
"""

import codecs
import io
import sys


class Terminal(io.TextIOWrapper):
    """A stream to a terminal."""

    def write(self, text: str) -> int:
        """Write a text in which only line ends and tabs move the cursor."""
        super().write(visible(text))
        return len(text)

    def style(self, text: str) -> None:
        """Write a text with control characters of our own."""
        super().write(text)


def guard() -> None:
    """Put a :class:`Terminal` before each standard stream that ends at one."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream.isatty():
            # typer would bypass a stream that takes ASCII only.
            encoding = "utf-8" if codecs.lookup(stream.encoding).name == "ascii" else stream.encoding
            # Not the stream's own `surrogateescape`, by which a JSON text could become any byte.
            setattr(sys, name, Terminal(stream.buffer, encoding, "backslashreplace", line_buffering=True))


def visible(text: str) -> str:
    r"""Return lines in which nothing moves the cursor or changes the terminal. Pure.

    >>> visible("one\t1\r\n" + chr(27) + "[2J two")
    'one\t1\n?[2J two'
    """
    return "\n".join(line if line.isprintable() else _shown(line) for line in text.split("\n"))


def _shown(line: str) -> str:
    from berth_cli.ui.terminal import printable

    return "\t".join(map(printable, line.removesuffix("\r").split("\t")))


def log(data: bytes | str) -> None:
    """Print a log or a part of it: to a terminal as readable lines, else byte by byte."""
    if isinstance(data, str):
        sys.stdout.write(data)
    elif isinstance(sys.stdout, Terminal):
        sys.stdout.write(data.decode(errors="replace"))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
    sys.stdout.flush()


def printable(text: str) -> str:
    """Return a text in which nothing moves the cursor or changes the terminal: others may have written it. Pure.

    >>> printable("a" + chr(27) + "[2Jb")
    'a?[2Jb'
    """
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)
