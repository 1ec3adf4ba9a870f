"""``berth deployment``: commands about machines."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.help import Commands
from berth_cli.ui.options import Form, Kubeconfig, Output, Workspaces

if TYPE_CHECKING:
    from berth_core.resources import WorkspaceDeploymentSpec

app = Commands(help="Machines: add, lock, unlock, maintain, dissolve, release from quarantine.")

ADD_EXAMPLES = """
Examples:

  berth deployment add misty-3 --type fixed_misty2 --region lab-a --description "by the door"

  berth deployment add arm-2 --type bench_arm --owner alice --node-selector kubernetes.io/hostname=node-7

  berth deployment add misty-4 --type fixed_misty2 --heartbeat node --locked
"""
LOCK_EXAMPLES = """
Examples:

  berth deployment lock misty-1
"""
UNLOCK_EXAMPLES = """
Examples:

  berth deployment unlock misty-1
"""
MAINTAIN_EXAMPLES = """
Examples:

  berth deployment maintain misty-1 --reason "new gripper" --until 2026-12-01T17:00:00Z

  berth deployment maintain misty-1 --reason "calibration" --until 4h

  berth deployment maintain misty-1 --end
"""
DISSOLVE_EXAMPLES = """
Examples:

  berth deployment dissolve misty-1

  berth deployment dissolve misty-1 --yes
"""
RELEASE_EXAMPLES = """
Examples:

  berth deployment release misty-1 --reason "gripper calibrated, checked by hand"

  kubectl get wd misty-1 -n berth-workspaces -o wide    # the message says which hook failed, and how
"""
Deployment = Annotated[str, typer.Argument(help="Name or id of the deployment.")]


class Heartbeat(StrEnum):
    """Sign of life of a machine."""

    NONE = "none"
    NODE = "node"
    LEASE = "lease"


@app.command(epilog=ADD_EXAMPLES)
def add(
    name: Annotated[str, typer.Argument(help="Name of the deployment, such as misty-3.")],
    type_: Annotated[str, typer.Option("--type", "-t", help="Its type, as clients name it.")],
    region: Annotated[str, typer.Option(help="Where the machine stands.")] = "",
    description: Annotated[str, typer.Option(help="Note on this machine, for users.")] = "",
    type_version: Annotated[int, typer.Option(min=0, help="Version of its hardware; newer ones are lent first.")] = 1,
    owner: Annotated[list[str] | None, typer.Option(help="User who may lock and maintain it; may be repeated.")] = None,
    heartbeat: Annotated[Heartbeat, typer.Option(help="Proof that the machine is there.")] = Heartbeat.NONE,
    node_selector: Annotated[
        list[str] | None, typer.Option(metavar="LABEL=VALUE", help="Label of the node it is wired to; may be repeated.")
    ] = None,
    locked: Annotated[bool, typer.Option("--locked", help="Refuse new instances until it is unlocked.")] = False,
    output: Form = Output.TABLE,
    workspaces: Workspaces = "berth-workspaces",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Make a deployment: one machine of a type. Devices and environment are added with `kubectl edit wd`."""
    from berth_cli.admin import cluster
    from berth_cli.admin.deployments import actions
    from berth_cli.ui import printing
    from berth_core.resources import WorkspaceDeployment

    fields = {
        "type": type_,
        "typeVersion": type_version,
        "region": region,
        "description": description,
        "owners": owner or [],
        "lockout": locked,
        "heartbeat": heartbeat.value,
        "overrides": {"nodeSelector": _labels(node_selector or [])},
    }
    spec = _spec(fields)
    created = cluster.ask(kubeconfig, lambda client: actions.add(client, workspaces, name, spec))
    columns: list[printing.Column[WorkspaceDeployment]] = [
        printing.Column("DEPLOYMENT", lambda wd: wd.metadata.name),
        printing.Column("ID", lambda wd: wd.public_id),
        printing.Column("TYPE", lambda wd: wd.spec.type),
        printing.Column("REGION", lambda wd: wd.spec.region),
    ]
    table = printing.Table(
        columns,
        lambda wd: wd.metadata.name,
        lambda wd: {"deployment": wd.metadata.name, "id": wd.public_id, "spec": wd.spec.wire()},
    )
    printing.show_one(created, table, output)


@app.command(epilog=LOCK_EXAMPLES)
def lock(deployment: Deployment, workspaces: Workspaces = "berth-workspaces", kubeconfig: Kubeconfig = None) -> None:
    """Refuse new instances of a deployment; its holder keeps it."""
    from berth_cli.admin import cluster
    from berth_cli.admin.deployments import actions

    typer.echo(cluster.ask(kubeconfig, lambda client: actions.lock(client, workspaces, deployment, lockout=True)))


@app.command(epilog=UNLOCK_EXAMPLES)
def unlock(deployment: Deployment, workspaces: Workspaces = "berth-workspaces", kubeconfig: Kubeconfig = None) -> None:
    """Permit new instances of a deployment again."""
    from berth_cli.admin import cluster
    from berth_cli.admin.deployments import actions

    typer.echo(cluster.ask(kubeconfig, lambda client: actions.lock(client, workspaces, deployment, lockout=False)))


@app.command(epilog=MAINTAIN_EXAMPLES)
def maintain(
    deployment: Deployment,
    reason: Annotated[str, typer.Option(help="Reason, which everybody sees.")] = "",
    until: Annotated[str, typer.Option(help="Its end by itself: a time with its zone, or a length such as 4h.")] = "",
    end: Annotated[bool, typer.Option("--end", help="End it now.")] = False,
    workspaces: Workspaces = "berth-workspaces",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Let only owners of a deployment get new instances for a time; its holder keeps it, and waiters wait on."""
    from berth_cli.admin import cluster
    from berth_cli.admin.deployments import maintenance
    from berth_cli.ui.errors import USAGE, CliError

    if end == bool(reason.strip()) or (end and until):
        raise CliError("say either --reason, perhaps with --until, or --end", USAGE)
    if end:
        typer.echo(cluster.ask(kubeconfig, lambda client: maintenance.end(client, workspaces, deployment)))
        return
    wish = maintenance.Wish(reason.strip(), until.strip())
    typer.echo(cluster.ask(kubeconfig, lambda client: maintenance.begin(client, workspaces, deployment, wish)))


@app.command(epilog=DISSOLVE_EXAMPLES)
def dissolve(
    deployment: Deployment,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    workspaces: Workspaces = "berth-workspaces",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Remove a machine for good. Its history stays; this cannot be undone."""
    import sys

    from berth_cli.admin import cluster
    from berth_cli.admin.deployments import actions
    from berth_cli.ui.errors import FAILED, USAGE, CliError

    target = cluster.ask(kubeconfig, lambda client: actions.look(client, workspaces, deployment))
    typer.echo(target.meaning, err=True)
    if not yes:
        if not sys.stdin.isatty():
            raise CliError("nobody is there to be asked: repeat the command with --yes", USAGE)
        if not typer.confirm(f"Dissolve {target.deployment.metadata.name}?", err=True):
            raise CliError("nothing was changed", FAILED)
    typer.echo(cluster.ask(kubeconfig, lambda client: actions.dissolve(client, target)))


@app.command(epilog=RELEASE_EXAMPLES)
def release(
    deployment: Deployment,
    reason: Annotated[str, typer.Option(help="Reason; kept with the deployment.")] = "",
    workspaces: Workspaces = "berth-workspaces",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Take a deployment out of the quarantine that a failed hook began.

    Needs the rights to read and patch workspacedeployments there (the role berth-admin has them). A deployment whose
    node is silent still has a lease: use `berth release DEPLOYMENT --force` for that.
    """
    from berth_cli.admin import cluster
    from berth_cli.admin.deployments import quarantine

    for line in cluster.ask(
        kubeconfig, lambda client: quarantine.release(client, deployment, workspaces, reason.strip())
    ):
        typer.echo(line)


def _labels(words: list[str]) -> dict[str, str]:
    from berth_cli.ui.errors import USAGE, CliError

    pairs = [word.partition("=") for word in words]
    for label, separator, _ in pairs:
        if not label or not separator:
            raise CliError("--node-selector takes LABEL=VALUE, such as kubernetes.io/hostname=node-7", USAGE)
    return {label: value for label, _, value in pairs}


def _spec(fields: dict[str, object]) -> "WorkspaceDeploymentSpec":
    """Make a valid spec of the parts. Raises CliError."""
    from pydantic import ValidationError

    from berth_cli.ui.errors import USAGE, CliError
    from berth_core.resources import WorkspaceDeploymentSpec

    try:
        return WorkspaceDeploymentSpec.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        raise CliError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", USAGE) from error
