"""Options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

Kubeconfig = Annotated[
    Path | None,
    typer.Option("--kubeconfig", help="How to reach the cluster; else $KUBECONFIG, else ~/.kube/config."),
]
Workspaces = Annotated[
    str,
    typer.Option("--workspaces", "-w", metavar="NAMESPACE", help="Namespace of the deployments."),
]
