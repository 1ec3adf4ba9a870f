"""``berth token``: tokens for the HTTP API."""

from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.help import Commands
from berth_cli.ui.options import Access, Form, Kubeconfig, Output, Release

if TYPE_CHECKING:
    from berth_cli.admin.tokens.listing import Row
    from berth_core.kube.client import Client

app = Commands(help="Tokens for the HTTP API.")

CREATE_EXAMPLES = """
Examples:

  berth token create --user alice --expires 30d

  berth token create --user ci --scope ro --type fixed_misty2

  berth token create --user alice --scope own

  berth token create --user root --superuser --expires 1h

  berth token create --user demo --type fixed_misty2 --expire-d 600
"""
LIST_EXAMPLES = """
Examples:

  berth token list

  berth token list --user alice --output json
"""
REVOKE_EXAMPLES = """
Examples:

  berth token revoke 9f86d081884c

  berth token revoke - < token.txt

  berth token revoke 9f86d081884c --with-what-it-made

  berth token revoke 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 --user alice --expires 30d
"""
SHORT = 12
"""Digits of a SHA-256 in a table."""


@app.callback()
def tokens_of_the_api() -> None:
    """Tokens for the HTTP API."""


@app.command(epilog=CREATE_EXAMPLES)
def create(
    user: Annotated[str, typer.Option(help="User that the token stands for.")],
    expires: Annotated[str, typer.Option(help="How long it lives, such as 90m, 12h or 30d; at most 366d.")] = "30d",
    superuser: Annotated[bool, typer.Option("--superuser", help="Sees and ends everything.")] = False,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="Scope, may be repeated: `rw` takes instances and changes them, `own` registers and changes machines;"
            " without either it reads only. Without scopes it may do all."
        ),
    ] = None,
    instance: Annotated[str | None, typer.Option(help="Works for this instance (its id) only.")] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Workspace type it may instantiate, may be repeated.")
    ] = None,
    org: Annotated[str | None, typer.Option(help="Organisation of the user.")] = None,
    expire_d: Annotated[int | None, typer.Option(help="The only `expire_d` that it may ask for, in seconds.")] = None,
    issuer: Annotated[str, typer.Option(help="As the chart's value tokens.issuer.")] = "berth",
    audience: Annotated[str, typer.Option(help="As the chart's value tokens.audience.")] = "berth",
    namespace: Release = "berth",
    access_namespace: Access = "berth-access",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print a new token on standard output, and its SHA-256 on standard error.

    Needs the right to read the Secret `berth-token-signing`. Berth keeps no copy: make another if it is lost.
    Its user, rights and expiry are recorded before the token is printed; see `berth token list`.
    """
    from berth_cli.admin.tokens import claims as tokens
    from berth_cli.admin.tokens import signing
    from berth_cli.ui.errors import USAGE, CliError
    from berth_core import durations

    try:
        request = tokens.TokenRequest(
            user=user,
            life=durations.parse(expires),
            issuer=issuer,
            audience=audience,
            superuser=superuser,
            scope=tuple(scope or ()),
            instance=instance,
            types=tuple(type_ or ()),
            organisation=org,
            expire_d=expire_d,
        )
        token = signing.token(request, signing.Place(namespace, access_namespace, kubeconfig))
    except ValueError as error:
        raise CliError(str(error), USAGE) from error
    typer.echo(token)
    typer.echo(f"sha256 {tokens.digest(token)}", err=True)


@app.command(name="list", epilog=LIST_EXAMPLES)
def list_(
    user: Annotated[str | None, typer.Option(help="This user's only.")] = None,
    output: Form = Output.TABLE,
    namespace: Release = "berth",
    access_namespace: Access = "berth-access",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Show the tokens that `berth token create` made, their rights, and whether they still count.

    STATE is counts, expired, revoked, purged (its user ended all tokens of the time), or key removed.
    """
    from berth_cli.admin import cluster
    from berth_cli.admin.keys import publishing
    from berth_cli.admin.tokens import listing, records
    from berth_cli.ui import printing
    from berth_cli.ui.reading import readable
    from berth_core.resources import Account

    async def read(client: "Client") -> "list[Row]":
        tokens = await records.issued(client, access_namespace, user)
        accounts, _ = await client.list(Account.api(), access_namespace)
        kids = publishing.kids(publishing.jwks(await publishing.read(client, namespace)))
        revocations = await records.revocations(client, access_namespace)
        state = listing.Seen.of(revocations, readable(Account, accounts), kids)
        return listing.rows(tokens, state, await cluster.server_time(client))

    rows = cluster.ask(kubeconfig, read)
    columns: list[printing.Column[Row]] = [
        printing.Column("SHA256", lambda row: row.sha256 if output is Output.WIDE else row.sha256[:SHORT]),
        printing.Column("USER", lambda row: row.user),
        printing.Column("MAY", lambda row: row.may),
        printing.Column("ISSUED", lambda row: row.issued),
        printing.Column("UNTIL", lambda row: row.until),
        printing.Column("STATE", lambda row: row.state),
        printing.Column("KID", lambda row: row.kid, wide=True),
    ]
    table = printing.Table(
        columns, lambda row: row.sha256, lambda row: row.wire(), lambda row: row.state == listing.COUNTS
    )
    whose = f"of {user} " if user else ""
    printing.show(rows, table, output, f"no tokens {whose}are recorded in namespace {access_namespace}")


@app.command(epilog=REVOKE_EXAMPLES)
def revoke(
    which: Annotated[
        str,
        typer.Argument(
            metavar="TOKEN_OR_SHA256",
            help="The token; or its SHA-256 in hex, of a recorded one the first digits (8 or more); or - to read it"
            " from standard input, where no list of processes shows it.",
        ),
    ],
    user: Annotated[str | None, typer.Option(help="End it only if it is this user's; without, whosever it is.")] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            help="How long it lives at most, such as 30d, where neither a record nor the token itself says it;"
            " else 366d are assumed."
        ),
    ] = None,
    with_what_it_made: Annotated[
        bool,
        typer.Option(
            "--with-what-it-made",
            help="End its instances and builds too, lock its machines, and delete its reservations, VPN clients, rules"
            " and projects with all their builds. Takes 20 s.",
        ),
    ] = False,
    workspaces: Annotated[
        list[str] | None,
        typer.Option(
            "--workspaces",
            "-w",
            metavar="NAMESPACE",
            help="Where to look for what it made, may be repeated; else in the namespaces that the operator has.",
        ),
    ] = None,
    namespace: Release = "berth",
    access_namespace: Access = "berth-access",
    kubeconfig: Kubeconfig = None,
) -> None:
    """End a token, on every replica within 1 s and for good. Repeating it changes nothing."""
    import sys

    from berth_cli.admin import cluster
    from berth_cli.admin.tokens import claims as tokens
    from berth_cli.admin.tokens import revoking
    from berth_cli.ui.errors import USAGE, CliError
    from berth_core import durations

    try:
        target = revoking.target(sys.stdin.read(2 * tokens.LONGEST_TOKEN) if which == "-" else which)
        if user is not None:
            tokens.check_user(user)
        wish = revoking.Wish(target, user, durations.parse(expires) if expires is not None else None)
    except ValueError as error:
        raise CliError(str(error), USAGE) from error
    aftermath = revoking.Aftermath(namespace, workspaces or ()) if with_what_it_made else None
    typer.echo(cluster.ask(kubeconfig, lambda client: revoking.revoke(client, access_namespace, wish, aftermath)))
