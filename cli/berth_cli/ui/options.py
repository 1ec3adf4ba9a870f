"""Options that several commands have."""

from enum import StrEnum
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
Release = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of Berth's release.")]
Access = Annotated[
    str,
    typer.Option("--access-namespace", metavar="NAMESPACE", help="Namespace of accounts, and of records of tokens."),
]


class Output(StrEnum):
    """Forms of the answer."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


Form = Annotated[Output, typer.Option("--output", "-o", help="Form of the answer.")]
