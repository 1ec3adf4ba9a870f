"""``berth doctor``: finds faults of a cluster and of Berth in it."""

from typing import Annotated

import typer

from berth_cli.ui.options import Form, Kubeconfig, Output, Release
from berth_cli.ui.terminal import printable

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
    from berth_cli.admin.doctor.findings import Finding, Level
    from berth_cli.ui import printing
    from berth_cli.ui.errors import FAILED

    state = cluster.ask(kubeconfig, lambda client: facts.gather(client, namespace, workspaces or ()))
    findings = suite.findings(state, suite.CHECKS)
    columns: list[printing.Column[Finding]] = [
        printing.Column("CHECK", lambda one: one.check),
        printing.Column("RESULT", lambda one: one.level),
        printing.Column("WHAT", lambda one: one.says),
        printing.Column("MEND", lambda one: one.mend or None, wide=True),
    ]
    table = printing.Table(columns, lambda one: one.check, lambda one: one.wire(), lambda one: one.level == "ok")
    printing.show(findings, table, output, "nothing was looked at")
    if output is Output.TABLE:
        for one in findings:
            if one.mend:
                typer.echo(f"\n{one.check}: {printable(one.mend)}")
    if any(one.level is Level.FAILED for one in findings):
        raise typer.Exit(FAILED)
