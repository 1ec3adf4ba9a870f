"""``berth status``: deployments and who has them."""

from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.options import Form, Kubeconfig, Output, Workspaces

if TYPE_CHECKING:
    from berth_cli.board import Row
    from berth_core.client import Client

EXAMPLES = """
Examples:

  berth status

  berth status --all-namespaces --output json
"""


def status(
    workspaces: Workspaces = "berth-workspaces",
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Look everywhere.")] = False,
    output: Form = Output.TABLE,
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
    from berth_cli import printing

    if output is not Output.TABLE:
        printing.structured([row.wire() for row in rows], output)
    elif rows:
        headings = ("DEPLOYMENT", "TYPE", "AVAILABLE", "HOLDER", "SINCE", "UNTIL", "ADDRESS")
        printing.table(headings, [_words(row) for row in rows], [row.available is True for row in rows])
    else:
        typer.echo(
            f"no deployments in {where}: make a WorkspaceDeployment, or name another with --workspaces", err=True
        )


def _words(row: "Row") -> "tuple[str | None, ...]":
    available = "yes" if row.available else f"no: {row.reason}"
    return (row.deployment, row.type, available, row.holder, row.since, row.until, row.address)
