"""``berth release``: end the lease of a deployment."""

from typing import Annotated

import typer

from berth_cli.ui.options import Kubeconfig, Workspaces

EXAMPLES = """
Examples:

  berth release misty-1 --reason "maintenance at noon"

  berth release misty-1 --force --reason "node-3 burnt down; machine is off"
"""


def release(
    deployment: Annotated[str, typer.Argument(help="Name or id of the deployment.")],
    reason: Annotated[str, typer.Option(help="Reason; kept with the instance.")],
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Give the lease back though no node confirms that the workspace has stopped. You vouch for it:"
            " make sure that the machine is off.",
        ),
    ] = False,
    workspaces: Workspaces = "berth-workspaces",
    kubeconfig: Kubeconfig = None,
) -> None:
    """End the instance that holds a deployment, and free the deployment.

    The deployment is free as soon as everything that the lease opened is gone; `berth status` shows it.
    With --force, what is left of earlier leases counts as stopped too where nobody holds the deployment.
    """
    from berth_cli.admin import cluster
    from berth_cli.admin.deployments import ending
    from berth_cli.ui.errors import USAGE, CliError

    if not reason.strip():
        raise CliError("--reason says nothing: write why, for those who ask later", USAGE)
    wish = ending.Wish(deployment, workspaces, reason.strip(), force)
    for line in cluster.ask(kubeconfig, lambda client: ending.release(client, wish)):
        typer.echo(line)
