"""``berth machine``: commands about machines."""

from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.help import KEEPERS, Commands
from berth_cli.ui.options import Form, Kubeconfig, Output, Release, Workspaces

if TYPE_CHECKING:
    from berth_cli.admin.machines.facts import Lent

app = Commands(help="Machines at addresses and on nodes: register your own; show one, and check the walls around it.")

SHOW_EXAMPLES = """
Examples:

  berth machine show arm-7

  berth machine show arm-7 --output yaml
"""
CHECK_EXAMPLES = """
Examples:

  berth machine check arm-7

  berth machine check arm-7 --output json
"""
Deployment = Annotated[str, typer.Argument(help="Name or id of the machine's deployment.")]


@app.command(epilog=SHOW_EXAMPLES, rich_help_panel=KEEPERS)
def show(
    deployment: Deployment,
    output: Form = Output.TABLE,
    workspaces: Workspaces = "berth-workspaces",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show a machine's endpoints and devices, its holder, its conditions, and what to do."""
    from berth_cli.admin import cluster
    from berth_cli.admin.machines import card, facts
    from berth_cli.ui.printing import Column, Table, show_one
    from berth_cli.ui.terminal import printable

    lent = cluster.ask(kubeconfig, lambda client: facts.look(client, workspaces, deployment))

    def condition(kind: str) -> "Column[Lent]":
        return Column(kind.upper(), lambda one: card.shown(one, kind))

    columns: list[Column[Lent]] = [
        Column("DEPLOYMENT", lambda one: one.wd.metadata.name),
        Column("NAMESPACE", lambda one: one.wd.metadata.namespace, wide=True),
        Column("ID", lambda one: one.wd.public_id, wide=True),
        Column("TYPE", lambda one: one.wd.spec.type),
        Column("ENDPOINTS", lambda one: card.endpoints(one) or card.no_endpoints(one)),
        Column("DEVICES", card.devices),
        Column("HEALTH", lambda one: card.health(one) or "nobody asks: set spec.health"),
        Column("HOLDER", lambda one: card.holder(one) or "nobody"),
        Column("LEASED", card.leased),
        Column("GRANT", lambda one: one.wd.spec.grant),
        Column("LEASED DEVICES", card.leased_devices),
        *map(condition, card.SHOWN),
    ]
    show_one(lent, Table(columns, lambda one: one.wd.metadata.name, card.wire), output)
    if output is Output.TABLE:
        for line in card.steps(lent):
            typer.echo(f"\n{printable(line)}")


@app.command(epilog=CHECK_EXAMPLES, rich_help_panel=KEEPERS)
def check(
    deployment: Deployment,
    output: Form = Output.TABLE,
    workspaces: Workspaces = "berth-workspaces",
    namespace: Release = "berth",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Check that a machine is reached by its lease alone, and name the ways that Berth does not hold.

    Exit code 1 where a promise is broken. The result is `unknown` where you lack the right to read, and `open` where
    something else than Berth has to stand before the machine. Nothing is changed, and no packet is sent.
    """
    from berth_cli.admin import cluster
    from berth_cli.admin.doctor.report import report
    from berth_cli.admin.machines import checks, facts

    state = cluster.ask(kubeconfig, lambda client: facts.gather(client, namespace, workspaces, deployment))
    report(checks.findings(state), output)
