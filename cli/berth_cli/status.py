"""``berth status``: deployments and who has them."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.options import Kubeconfig, Workspaces

if TYPE_CHECKING:
    from berth_cli.board import Row
    from berth_core.client import Client

EXAMPLES = """
Examples:

  berth status

  berth status --all-namespaces --output json
"""


class Output(StrEnum):
    """Forms of the answer."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


def status(
    workspaces: Workspaces = "berth-workspaces",
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Look everywhere.")] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="Form of the answer.")] = Output.TABLE,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show what is free, who has what, since when, until when, and at which address."""
    from berth_cli import board, cluster
    from berth_core.resources import Instance, WorkspaceDeployment

    namespace = None if all_namespaces else workspaces

    async def read(client: "Client") -> "list[Row]":
        deployments, _ = await client.list(WorkspaceDeployment.api(), namespace)
        instances, _ = await client.list(Instance.api(), namespace)
        return board.rows(map(WorkspaceDeployment.parse, deployments), map(Instance.parse, instances))

    _print(cluster.ask(kubeconfig, read), output, "any namespace" if all_namespaces else f"namespace {workspaces}")


def _print(rows: "list[Row]", output: Output, where: str) -> None:
    if output is Output.JSON:
        import json

        typer.echo(json.dumps([row.wire() for row in rows], indent=2))
    elif output is Output.YAML:
        import yaml

        typer.echo(yaml.safe_dump([row.wire() for row in rows], sort_keys=False), nl=False)
    elif rows:
        _table(rows)
    else:
        typer.echo(
            f"no deployments in {where}: make a WorkspaceDeployment, or name another with --workspaces", err=True
        )


def _table(rows: "list[Row]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        # Pipes get whole lines; a guessed width of 80 would cut addresses.
        console.width = 240
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("DEPLOYMENT", "TYPE", "AVAILABLE", "HOLDER", "SINCE", "UNTIL", "ADDRESS"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        words = (row.deployment, row.type, _available(row), row.holder, row.since, row.until, row.address)
        table.add_row(*(Text(word or "-") for word in words), style="green" if row.available else None)
    console.print(table)


def _available(row: "Row") -> str:
    return "yes" if row.available else f"no: {row.reason}"
