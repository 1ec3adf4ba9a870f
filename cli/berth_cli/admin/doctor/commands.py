"""``berth doctor``: finds faults of a cluster and of Berth in it."""

from typing import Annotated

import typer

from berth_cli.ui.options import Form, Kubeconfig, Output, Release

EXAMPLES = """
Examples:

  berth doctor

  berth doctor --output json

  berth doctor -n lab-berth -w lab-a -w lab-b
"""


def doctor(
    workspaces: Annotated[
        list[str] | None,
        typer.Option(
            "--workspaces",
            "-w",
            metavar="NAMESPACE",
            help="Namespace of deployments, may be repeated; else those of the operator.",
        ),
    ] = None,
    output: Form = Output.TABLE,
    namespace: Release = "berth",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Check the cluster and Berth in it, and say how to mend faults. Nothing is changed.

    Exit code 1 where something has failed. The result is `unknown` where you lack the right to read.
    """
    from berth_cli.admin import cluster
    from berth_cli.admin.doctor import facts, suite
    from berth_cli.admin.doctor.report import report

    state = cluster.ask(kubeconfig, lambda client: facts.gather(client, namespace, workspaces or ()))
    report(suite.findings(state, suite.CHECKS), output)
