"""``berth status``: deployments and their holders."""

from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.options import Form, Kubeconfig, Output, Workspaces

if TYPE_CHECKING:
    from berth_cli.admin.deployments.overview import Row
    from berth_core.kube.client import Client

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
    """Show each deployment: free or held, by whom, since when, until when, and at which address."""
    from berth_cli.admin import cluster
    from berth_cli.admin.deployments import overview
    from berth_cli.ui.reading import readable
    from berth_core.resources import Instance, WorkspaceDeployment

    namespace = None if all_namespaces else workspaces

    async def read(client: "Client") -> "list[Row]":
        deployments, _ = await client.list(WorkspaceDeployment.api(), namespace)
        instances, _ = await client.list(Instance.api(), namespace)
        return overview.rows(readable(WorkspaceDeployment, deployments), readable(Instance, instances))

    _print(cluster.ask(kubeconfig, read), output, "any namespace" if all_namespaces else f"namespace {workspaces}")


def _print(rows: "list[Row]", output: Output, where: str) -> None:
    from berth_cli.ui.printing import Column, Table, show

    columns: list[Column[Row]] = [
        Column("DEPLOYMENT", lambda row: row.deployment),
        Column("TYPE", lambda row: row.type),
        Column("AVAILABLE", lambda row: "yes" if row.available else f"no: {row.reason}"),
        Column("HOLDER", lambda row: row.holder),
        Column("SINCE", lambda row: row.since),
        Column("UNTIL", lambda row: row.until),
        Column("ADDRESS", lambda row: row.address),
        Column("NAMESPACE", lambda row: row.namespace, wide=True),
        Column("REGION", lambda row: row.region, wide=True),
        Column("EPOCH", lambda row: str(row.epoch), wide=True),
        Column("INSTANCE", lambda row: row.instance, wide=True),
        Column("ID", lambda row: row.id, wide=True),
        Column("MESSAGE", lambda row: row.message, wide=True),
    ]
    table = Table(columns, lambda row: row.deployment, lambda row: row.wire(), lambda row: row.available is True)
    nothing = f"no deployments in {where}: make a WorkspaceDeployment (`berth deployment add`), or name another with -w"
    show(rows, table, output, nothing)
