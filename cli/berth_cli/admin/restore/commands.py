"""``berth restore``: repairs a cluster after a backup without status was put back."""

from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.options import Form, Kubeconfig, Output, Release, Workspaces

if TYPE_CHECKING:
    from berth_cli.admin.restore.plan import Step

EXAMPLES = """
Examples:

  berth restore

  berth restore --yes

docs/how-to/operations.md says how to make a backup and how to put it back.
"""


def restore(
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this only say what is to be done.")] = False,
    above: Annotated[
        int,
        typer.Option(min=0, max=2**52, metavar="EPOCH", help="Begin above this epoch too, where you know of one."),
    ] = 0,
    output: Form = Output.TABLE,
    workspaces: Workspaces = "berth-workspaces",
    release: Release = "berth",
    kubeconfig: Kubeconfig = None,
) -> None:
    """End all instances of a backup, and let leases begin with epochs that were never used.

    Berth must not run meanwhile. Nothing is deleted: the operator removes the remains of the instances when it is
    started again. Repeat the command for each workspace namespace.
    """
    from berth_cli.admin import cluster
    from berth_cli.admin.restore import steps as restoration

    wish = restoration.Wish(release, workspaces, above)
    work = restoration.restore if yes else restoration.look
    _print(cluster.ask(kubeconfig, lambda client: work(client, wish)), output, done=yes)


def _print(steps: "list[Step]", output: Output, *, done: bool) -> None:
    from berth_cli.ui.printing import Column, Table, show

    columns: list[Column[Step]] = [
        Column("OBJECT", lambda step: step.name),
        Column("DONE", lambda step: _state(step, done=done)),
        Column("WHAT", lambda step: step.what),
    ]
    table = Table(
        columns,
        lambda step: step.name,
        lambda step: {"object": step.name, "done": _state(step, done=done), "what": step.what},
        lambda step: done and bool(step.writes),
    )
    nothing = "nothing to do: every instance has ended or ends, and no epoch is above its deployment's"
    show(steps, table, output, nothing)
    if steps and not done:
        typer.echo("nothing was changed: --yes does it, while Berth does not run", err=True)


def _state(step: "Step", *, done: bool) -> str:
    if not step.writes:
        return "by you"
    return "yes" if done else "no"
