"""``berth connector``: commands about hosts that dial in."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.help import Commands
from berth_cli.ui.options import Form, Kubeconfig, Output, Release, Workspaces

if TYPE_CHECKING:
    from berth_core.resources import Connector

app = Commands(help="Hosts behind NAT, which dial in: enrol, list, cut off.")

ENROLL_EXAMPLES = """
Examples:

  berth connector enroll bench-7 --target 127.0.0.1:30002 --on-disconnect "/usr/local/bin/stop-robot"

  berth connector enroll bench-7 --hub hub.example.org:8443
"""
LIST_EXAMPLES = """
Examples:

  berth connector list

  berth connector list --output json
"""
REMOVE_EXAMPLES = """
Examples:

  berth connector remove bench-7
"""
BUNDLE_EXAMPLES = """
Examples:

  berth connector bundle berth-connector.pyz
"""
Name = Annotated[str, typer.Argument(help="Name of the Connector.")]


@app.command(epilog=ENROLL_EXAMPLES)
def enroll(
    name: Name,
    target: Annotated[
        list[str] | None, typer.Option(help="address:port of a machine, as the host reaches it; may be repeated.")
    ] = None,
    on_disconnect: Annotated[str, typer.Option(help="Command on the host that brings its machine to rest.")] = "",
    hub: Annotated[str | None, typer.Option(help="host:port of the hub, as the host reaches it.")] = None,
    user: Annotated[bool, typer.Option("--user", help="Install for one user of the host, without root.")] = False,
    workspaces: Workspaces = "berth-workspaces",
    namespace: Release = "berth",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print the one command that enrols a host. It works once, within an hour; a later one replaces it."""
    from berth_cli.admin import cluster
    from berth_cli.admin.connectors import enrolment
    from berth_connector import bundle

    opening = enrolment.Opening(name, workspaces, namespace, hub, tuple(target or ()), on_disconnect)
    invitation = cluster.ask(kubeconfig, lambda client: enrolment.invite(client, opening))
    enrolled = invitation.connector.spec.enrolment
    typer.echo(f"Run this on the host, until {enrolled.expires if enrolled else 'the token expires'}:\n", err=True)
    typer.echo(enrolment.command(invitation, bundle.build(), root=not user))


@app.command(name="list", epilog=LIST_EXAMPLES)
def list_(
    output: Form = Output.TABLE, workspaces: Workspaces = "berth-workspaces", kubeconfig: Kubeconfig = None
) -> None:
    """List hosts that dial in, and whether they are linked."""
    from berth_cli.admin import cluster
    from berth_cli.ui import printing
    from berth_cli.ui.reading import readable
    from berth_core.connectors.conditions import AT_REST, CONNECTED
    from berth_core.kube.conditions import find
    from berth_core.resources import Connector

    objects, _ = cluster.ask(kubeconfig, lambda client: client.list(Connector.api(), workspaces))

    def shown(kind: str) -> "printing.Column[Connector]":
        def status(one: "Connector") -> str:
            condition = find(one.status.conditions, kind)
            return condition.status if condition is not None else "-"

        return printing.Column(kind.upper(), status)

    columns: list[printing.Column[Connector]] = [
        printing.Column("CONNECTOR", lambda one: one.metadata.name),
        shown(CONNECTED),
        shown(AT_REST),
        printing.Column("LINKS", lambda one: str(len(one.status.links))),
        printing.Column("VERSION", lambda one: one.status.version or "-"),
        printing.Column(
            "CERTIFICATE UNTIL", lambda one: one.status.certificate.not_after if one.status.certificate else "-"
        ),
    ]
    table = printing.Table(
        columns,
        lambda one: one.metadata.name,
        lambda one: {"connector": one.metadata.name, "spec": one.spec.wire(), "status": one.status.wire()},
    )
    printing.show(
        readable(Connector, objects), table, output, "there are no connectors: `berth connector enroll` makes one"
    )


@app.command(epilog=REMOVE_EXAMPLES)
def remove(name: Name, workspaces: Workspaces = "berth-workspaces", kubeconfig: Kubeconfig = None) -> None:
    """Cut a host off, for good: its links end within a second, and its certificate never counts again."""
    from berth_cli.admin import cluster
    from berth_core.resources import Connector

    cluster.ask(kubeconfig, lambda client: client.delete(Connector.api(), workspaces, name))
    typer.echo(f"{name} is cut off")


@app.command(epilog=BUNDLE_EXAMPLES)
def bundle(path: Annotated[Path, typer.Argument(help="File to write; - for standard output.")]) -> None:
    """Write the connector as one file, which Python 3.9 or later runs: for hosts that cannot fetch it from the hub."""
    from berth_connector import bundle as bundles

    content = bundles.build()
    if str(path) == "-":
        sys.stdout.buffer.write(content)
    else:
        path.write_bytes(content)
