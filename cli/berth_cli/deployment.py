"""``berth deployment``: words about machines."""

from typing import Annotated

import typer

from berth_cli.helping import Commands
from berth_cli.options import Kubeconfig, Workspaces

app = Commands(help="Machines: add, lock, unlock, dissolve, release.")

RELEASE_EXAMPLES = """
Examples:

  berth deployment release misty-1 --reason "gripper calibrated, checked by hand"

  kubectl get wd misty-1 -n berth-workspaces -o wide    # the message says which hook failed, and how
"""


@app.command(epilog=RELEASE_EXAMPLES)
def release(
    deployment: Annotated[str, typer.Argument(help="Name or id of the deployment.")],
    reason: Annotated[str, typer.Option(help="Why; kept with the deployment.")] = "",
    workspaces: Workspaces = "berth-workspaces",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Take a deployment out of the quarantine that a failed hook began.

    Needs the rights to read and patch workspacedeployments there (the role berth-admin has them). A deployment whose
    node is silent has a lease still: `berth release DEPLOYMENT --force` is for that.
    """
    from berth_cli import cluster, quarantine

    for line in cluster.ask(
        kubeconfig, lambda client: quarantine.release(client, deployment, workspaces, reason.strip())
    ):
        typer.echo(line)
