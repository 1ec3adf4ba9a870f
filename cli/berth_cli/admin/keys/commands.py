"""``berth key``: the keys that sign tokens."""

from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.help import Commands
from berth_cli.ui.options import Access, Form, Kubeconfig, Output, Release

if TYPE_CHECKING:
    from berth_cli.admin.keys.keyring import Row
    from berth_cli.admin.keys.rotation import Removal

app = Commands(help="The keys that sign tokens.")

LIST_EXAMPLES = """
Examples:

  berth key list

  berth key list --output json
"""
ROTATE_EXAMPLES = """
Examples:

  berth key rotate

  berth key rotate --now
"""
REMOVE_EXAMPLES = """
Examples:

  berth key remove vR3GCvJVuUQeJ6mNQ0ilyQ4v6nVyqSCGNIqsf8ntYZ0

  berth key remove vR3GCvJVuUQeJ6mNQ0ilyQ4v6nVyqSCGNIqsf8ntYZ0 --yes
"""
NAMED = 5
"""Tokens that a question names one by one."""


@app.callback()
def keys_of_tokens() -> None:
    """The keys that sign tokens."""


@app.command(name="list", epilog=LIST_EXAMPLES)
def list_(output: Form = Output.TABLE, namespace: Release = "berth", kubeconfig: Kubeconfig = None) -> None:
    """Show the keys: their age, whether each signs, and whether its tokens are accepted."""
    from berth_cli.admin import cluster
    from berth_cli.admin.keys import rotation
    from berth_cli.ui import printing

    rows = cluster.ask(kubeconfig, lambda client: rotation.listing(client, namespace))
    columns: list[printing.Column[Row]] = [
        printing.Column("KID", lambda row: row.kid),
        printing.Column("SINCE", lambda row: row.since),
        printing.Column("SIGNS", _signs),
        printing.Column("VERIFIES", lambda row: "yes" if row.verifies else "no"),
    ]
    table = printing.Table(columns, lambda row: row.kid, lambda row: row.wire(), lambda row: row.signs)
    printing.show(rows, table, output, f"no keys in namespace {namespace}")


@app.command(epilog=ROTATE_EXAMPLES)
def rotate(
    now: Annotated[
        bool,
        typer.Option("--now", help="Sign with it at once; replicas may refuse its tokens for up to 90 s."),
    ] = False,
    namespace: Release = "berth",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Make a new signing key, publish it, and let it sign as soon as every replica has it, in 2 minutes.

    Tokens of the old key count on, until `berth key remove`. A rotation that was cut off is finished.
    """
    from berth_cli.admin import cluster
    from berth_cli.admin.keys import rotation
    from berth_core.kube.model import timestamp

    rotated = cluster.ask(kubeconfig, lambda client: rotation.rotate(client, namespace, at_once=now))
    begun = "was begun before" if rotated.joined else "is published"
    if rotated.signs_from is not None:
        typer.echo(f"key {rotated.kid} {begun}, and signs tokens from {timestamp(rotated.signs_from)} on")
    else:
        typer.echo(f"key {rotated.kid} {begun}, and signs tokens now; replicas may refuse them for up to 90 s")
    if rotated.before != rotated.kid:
        typer.echo(f"tokens of key {rotated.before} count on: `berth key remove {rotated.before}` ends them")


@app.command(epilog=REMOVE_EXAMPLES)
def remove(
    kid: Annotated[str, typer.Argument(help="Id of the key; `berth key list` shows them.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    namespace: Release = "berth",
    access_namespace: Access = "berth-access",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Forget a key that does not sign (any more): all tokens that it signed end within 90 s, for good.

    The recorded tokens are listed first. Removing the next key ends its rotation.
    A kid that begins with `-` goes after `--`.
    """
    from berth_cli.admin import cluster
    from berth_cli.admin.keys import rotation

    removal = cluster.ask(kubeconfig, lambda client: rotation.removal(client, namespace, access_namespace, kid))
    typer.echo(_meaning(removal), err=True)
    if not yes:
        _ask(kid)
    cluster.ask(kubeconfig, lambda client: rotation.remove(client, namespace, kid))
    typer.echo(f"key {kid} is gone; replicas refuse its tokens within 90 s")


def _signs(row: "Row") -> str:
    if row.signs:
        return "yes"
    return f"from {row.signs_from}" if row.signs_from else "no"


def _meaning(removal: "Removal") -> str:
    tokens = [f"{token.spec.sha256[:12]} of {token.spec.user}" for token in removal.tokens]
    examples = ", ".join(tokens[:NAMED]) + (f" and {len(tokens) - NAMED} more" if len(tokens) > NAMED else "")
    return f"tokens that end with this key: {examples or 'none that is recorded'}"


def _ask(kid: str) -> None:
    import sys

    from berth_cli.ui.errors import FAILED, USAGE, CliError

    if not sys.stdin.isatty():
        raise CliError("nobody is there to be asked: repeat the command with --yes", USAGE)
    if not typer.confirm(f"Remove key {kid}?", err=True):
        raise CliError("nothing was removed", FAILED)
