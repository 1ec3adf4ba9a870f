"""Answers on standard output: tables for people; JSON, YAML and names for programs."""

import json
import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import typer

from berth_cli.ui.options import Output
from berth_cli.ui.terminal import Terminal, printable

Row = TypeVar("Row")
GREEN = "\x1b[32m"
BOLD = "\x1b[1m"
PLAIN = "\x1b[0m"
GAP = "  "


@dataclass(frozen=True)
class Column(Generic[Row]):
    """A heading, and the words below it; ``wide`` ones are for `--output wide` only."""

    heading: str
    words: Callable[[Row], str | None]
    wide: bool = False


@dataclass(frozen=True)
class Table(Generic[Row]):
    """Form of rows of one kind: ``name`` names a row, ``wire`` is its JSON, ``good`` makes it green."""

    columns: Sequence[Column[Row]]
    name: Callable[[Row], str]
    wire: Callable[[Row], Any] = field(default=lambda row: row)
    good: Callable[[Row], bool] = field(default=lambda _: False)


def show(rows: Sequence[Row], table: Table[Row], output: Output, nothing: str) -> None:
    """Print rows in a form; ``nothing`` says on standard error what an empty table means."""
    if output in (Output.JSON, Output.YAML):
        structured([table.wire(row) for row in rows], output)
    elif output is Output.NAME:
        for row in rows:
            typer.echo(table.name(row))
    elif rows:
        columns = [column for column in table.columns if output is Output.WIDE or not column.wide]
        cells = [[column.words(row) for column in columns] for row in rows]
        tabular([column.heading for column in columns], cells, [table.good(row) for row in rows])
    else:
        typer.echo(nothing, err=True)


def show_one(row: Row, table: Table[Row], output: Output) -> None:
    """Print one row; fields that do not apply are left out of the lines for people."""
    if output in (Output.JSON, Output.YAML):
        structured(table.wire(row), output)
    elif output is Output.NAME:
        typer.echo(table.name(row))
    else:
        pairs = [(c.heading, c.words(row)) for c in table.columns if output is Output.WIDE or not c.wide]
        lines = [(heading, words) for heading, words in pairs if words]
        width = max(len(heading) for heading, _ in lines)
        for heading, words in lines:
            typer.echo(f"{heading.lower().ljust(width)}{GAP}{printable(words)}")


def structured(value: Any, output: Output) -> None:
    """Print a value as JSON or YAML."""
    if output is Output.JSON:
        typer.echo(json.dumps(value, indent=2))
    else:
        import yaml

        typer.echo(yaml.safe_dump(value, sort_keys=False), nl=False)


def tabular(headings: Sequence[str], rows: Sequence[Sequence[str | None]], good: Sequence[bool]) -> None:
    """Print a table; ``-`` marks fields that do not apply, and ``good`` rows are green on a terminal."""
    cells = [list(headings), *([printable(word) if word else "-" for word in row] for row in rows)]
    widths = [max(map(_cells, column)) for column in zip(*cells, strict=True)]
    colours = [BOLD, *(GREEN if is_good else "" for is_good in good)]
    coloured = _coloured()
    for words, colour in zip(cells, colours, strict=True):
        padded = (word + " " * (width - _cells(word)) for word, width in zip(words, widths, strict=True))
        line = GAP.join(padded).rstrip()
        if colour and coloured and isinstance(sys.stdout, Terminal):
            sys.stdout.style(f"{colour}{line}{PLAIN}\n")
        else:
            typer.echo(line)


def _cells(text: str) -> int:
    """Columns of a terminal that a text takes (Unicode standard annex 11)."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _coloured() -> bool:
    """Colours only on a terminal, and not where NO_COLOR says no (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
