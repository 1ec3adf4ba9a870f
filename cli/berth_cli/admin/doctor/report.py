"""Prints findings."""

from collections.abc import Sequence

import typer

from berth_cli.admin.doctor.findings import Finding, Level
from berth_cli.ui import printing
from berth_cli.ui.errors import FAILED
from berth_cli.ui.options import Output
from berth_cli.ui.terminal import printable


def report(findings: Sequence[Finding], output: Output) -> None:
    """Print findings with how to mend them, and end the command with 1 where something has failed."""
    columns: list[printing.Column[Finding]] = [
        printing.Column("CHECK", lambda one: one.check),
        printing.Column("RESULT", lambda one: one.level),
        printing.Column("WHAT", lambda one: one.says),
        printing.Column("MEND", lambda one: one.mend or None, wide=True),
    ]
    table = printing.Table(columns, lambda one: one.check, lambda one: one.wire(), lambda one: one.level == "ok")
    printing.show(findings, table, output, "nothing was looked at")
    if output is Output.TABLE:
        for one in findings:
            if one.mend:
                typer.echo(f"\n{one.check}: {printable(one.mend)}")
    if any(one.level is Level.FAILED for one in findings):
        raise typer.Exit(FAILED)
