"""``berth user``: accounts, and the passwords that authorize a purge."""

from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.help import Commands
from berth_cli.ui.options import Access, Form, Kubeconfig, Output

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from berth_cli.admin.users.accounts import Row
    from berth_core.kube.client import Client

app = Commands(help="Accounts of users.")

ADD_EXAMPLES = """
Examples:

  berth user add alice

  berth user add alice --password-stdin < password.txt

  berth user add ci --no-password
"""
CHANGE_EXAMPLES = """
Examples:

  berth user set-password alice

  berth user set-password alice --password-stdin < password.txt
"""
LIST_EXAMPLES = """
Examples:

  berth user list

  berth user list --output json
"""
REMOVE_EXAMPLES = """
Examples:

  berth user remove alice

  berth user remove alice --force
"""

User = Annotated[str, typer.Argument(help="The user's name, as tokens have it.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of the terminal.")
]


@app.callback()
def accounts_of_users() -> None:
    """Accounts of users. An account holds a password and the time of a purge; users without either need none."""


@app.command(epilog=ADD_EXAMPLES)
def add(
    user: User,
    password_stdin: PasswordStdin = False,
    no_password: Annotated[bool, typer.Option("--no-password", help="An account without a password.")] = False,
    access_namespace: Access = "berth-access",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Make an account, and ask for a password twice: 12 characters or more, at most 1024 bytes.

    The cluster keeps its argon2id hash.
    """
    from berth_cli.admin.users import accounts
    from berth_cli.ui.errors import USAGE, CliError

    if no_password and password_stdin:
        raise CliError("--no-password and --password-stdin exclude each other: leave one out", USAGE)
    _check(user)
    hashed = None if no_password else _new_hash(user, password_stdin)
    _do(kubeconfig, lambda client: accounts.add(client, access_namespace, user, hashed))


@app.command(name="set-password", epilog=CHANGE_EXAMPLES)
def set_password(
    user: User,
    password_stdin: PasswordStdin = False,
    access_namespace: Access = "berth-access",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Replace the password of an account. Tokens are not touched."""
    from berth_cli.admin.users import accounts

    _check(user)
    hashed = _new_hash(user, password_stdin)
    _do(kubeconfig, lambda client: accounts.set_password(client, access_namespace, user, hashed))


@app.command(name="list", epilog=LIST_EXAMPLES)
def list_(
    output: Form = Output.TABLE, access_namespace: Access = "berth-access", kubeconfig: Kubeconfig = None
) -> None:
    """Show the accounts: whether there is a password, and from when on issued tokens count."""
    from berth_cli.admin import cluster
    from berth_cli.admin.users import accounts
    from berth_cli.ui import printing

    rows = cluster.ask(kubeconfig, lambda client: accounts.listing(client, access_namespace))
    columns: list[printing.Column[Row]] = [
        printing.Column("USER", lambda row: row.user),
        printing.Column("PASSWORD", lambda row: "yes" if row.password else "no"),
        printing.Column("TOKENS AFTER", lambda row: row.tokens_after),
        printing.Column("SINCE", lambda row: row.since),
        printing.Column("ACCOUNT", lambda row: row.account, wide=True),
    ]
    table = printing.Table(columns, lambda row: row.user, lambda row: row.wire())
    nothing = f"no accounts in namespace {access_namespace}: make one with `berth user add`"
    printing.show(rows, table, output, nothing)


@app.command(epilog=REMOVE_EXAMPLES)
def remove(
    user: User,
    force: Annotated[
        bool,
        typer.Option("--force", help="Even if a purge ended tokens that could still live: revoke each recorded one."),
    ] = False,
    access_namespace: Access = "berth-access",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Delete an account and its password. The user's tokens still count: end them with `berth token revoke`.

    Tokens that a purge ended must stay ended, so an account with a purge is kept until they would have expired.
    """
    from berth_cli.admin.users import accounts

    _check(user)

    async def work(client: "Client") -> str:
        return "\n".join(await accounts.remove(client, access_namespace, user, force=force))

    _do(kubeconfig, work)


def _do(kubeconfig: "Path | None", work: "Callable[[Client], Awaitable[str]]") -> None:
    from berth_cli.admin import cluster

    typer.echo(cluster.ask(kubeconfig, work))


def _check(user: str) -> None:
    from berth_cli.admin.tokens import claims
    from berth_cli.ui.errors import USAGE, CliError

    try:
        claims.check_user(user)
    except ValueError as error:
        raise CliError(str(error), USAGE) from error


def _new_hash(user: str, from_stdin: bool) -> str:
    from berth_cli.admin.users import passwords

    return passwords.hashed(passwords.ask(user, from_stdin=from_stdin))
