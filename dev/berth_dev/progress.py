"""Progress on the terminal: each step and the time it took."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

console = Console(stderr=True, highlight=False)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Show `title` while the body runs, then the time it took; plain lines where there is no terminal."""
    started = time.monotonic()
    try:
        if console.is_terminal:
            with console.status(f"{title} …"):
                yield
        else:
            console.print(f"{title} …", soft_wrap=True)
            yield
    except BaseException:
        console.print(f"[red]✗[/] {title} ({_seconds(started)})", soft_wrap=True)
        raise
    console.print(f"[green]✓[/] {title} ({_seconds(started)})", soft_wrap=True)


def note(text: str) -> None:
    """One line for the reader, without a time."""
    console.print(text, soft_wrap=True)


def _seconds(started: float) -> str:
    return f"{time.monotonic() - started:.1f} s"
