"""Answers on standard output: tables for people, JSON and YAML for programs."""

import json
from collections.abc import Sequence
from typing import Any

import typer

from berth_cli.options import Output


def structured(rows: list[dict[str, Any]], output: Output) -> None:
    """Print rows as JSON or YAML."""
    if output is Output.JSON:
        typer.echo(json.dumps(rows, indent=2))
    else:
        import yaml

        typer.echo(yaml.safe_dump(rows, sort_keys=False), nl=False)


def table(headings: Sequence[str], rows: Sequence[Sequence[str | None]], good: Sequence[bool]) -> None:
    """Print a table; ``-`` stands for what does not apply, and rows that are ``good`` are green on a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        # Pipes get whole lines; a guessed width of 80 would cut addresses.
        console.width = 240
    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for words, is_good in zip(rows, good, strict=True):
        made.add_row(*(Text(word or "-") for word in words), style="green" if is_good else None)
    console.print(made)
