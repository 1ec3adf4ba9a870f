"""``berth restore``: after a backup without status was put back."""

from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.options import Kubeconfig, Release, Workspaces

if TYPE_CHECKING:
    from berth_cli.restoring import Step

EXAMPLES = """
Examples:

  berth restore

  berth restore --yes

docs/operations.md says how to make a backup and how to put it back.
"""


def restore(
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this only say what is to be done.")] = False,
    above: Annotated[
        int,
        typer.Option(min=0, max=2**52, metavar="EPOCH", help="Begin above this epoch too, where you know of one."),
    ] = 0,
    workspaces: Workspaces = "berth-workspaces",
    release: Release = "berth",
    kubeconfig: Kubeconfig = None,
) -> None:
    """End all instances of a backup, and let leases begin with epochs that were never used.

    Berth must not run meanwhile. Nothing is deleted: the operator clears away what is left of the instances, when it
    is started again. Repeat the command for each workspace namespace.
    """
    from berth_cli import cluster, restoration

    wish = restoration.Wish(release, workspaces, above)
    work = restoration.restore if yes else restoration.look
    _print(cluster.ask(kubeconfig, lambda client: work(client, wish)), done=yes)


def _print(steps: "list[Step]", *, done: bool) -> None:
    from berth_cli import printing

    if not steps:
        typer.echo("nothing to do: every instance has ended or ends, and no epoch is above its deployment's", err=True)
        return
    rows = [(step.name, _state(step, done=done), step.what) for step in steps]
    printing.tabular(("OBJECT", "DONE", "WHAT"), rows, [done and bool(step.writes) for step in steps])
    if not done:
        typer.echo("nothing was changed: --yes does it, while Berth does not run", err=True)


def _state(step: "Step", *, done: bool) -> str:
    if not step.writes:
        return "by you"
    return "yes" if done else "no"
