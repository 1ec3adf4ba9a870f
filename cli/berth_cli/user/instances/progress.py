"""The progress line on standard error: one that moves on a terminal, else a line for each change."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer


def on_terminal() -> bool:
    """Whether there is a terminal, so that the user can be asked."""
    return sys.stderr.isatty() and sys.stdin.isatty() and os.environ.get("TERM") != "dumb"


@contextmanager
def progress() -> Iterator[Callable[[str], None]]:
    """Yield a function to call with each new state."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        with _moving() as tell:
            yield tell
    else:
        yield _by_lines()


@contextmanager
def _moving() -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from berth_cli.ui.terminal import printable

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.__stderr__), transient=True) as bar:
        task = bar.add_task("asked", total=None)
        yield lambda text: bar.update(task, description=printable(text))


def _by_lines() -> Callable[[str], None]:
    last = ""

    def tell(text: str) -> None:
        nonlocal last
        if text != last:
            last = text
            typer.echo(text, err=True)

    return tell


@contextmanager
def uninterrupted() -> Iterator[Callable[[], bool]]:
    """Delay a Ctrl-C until a request is answered, so that no instance is made without the user's knowledge.

    Yields a function that tells whether there was one. A second Ctrl-C is not delayed.
    """
    caught = False

    def note(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (as `signal` calls it)
        nonlocal caught
        if caught:
            raise KeyboardInterrupt
        caught = True

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: caught
    finally:
        signal.signal(signal.SIGINT, before)
