"""Tables of Markdown. Pure."""

from collections.abc import Iterable, Iterator


def table(head: tuple[str, ...], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    """Yield the lines of a table and an empty line after it; no line where there are no rows."""
    lines = [f"| {' | '.join(map(cell, row))} |" for row in rows]
    if lines:
        yield f"| {' | '.join(head)} |"
        yield f"|{'---|' * len(head)}"
        yield from lines
        yield ""


def cell(text: str) -> str:
    """Return a text as it may stand in one cell."""
    return " ".join(text.replace("|", "\\|").split())
