"""``berth token``: tokens for the HTTP API."""

from typing import Annotated

import typer

from berth_cli.options import Kubeconfig

app = typer.Typer(no_args_is_help=True, help="Tokens for the HTTP API.")

EXAMPLES = """
Examples:

  berth token create --user alice --expires 30d

  berth token create --user ci --scope ro --type fixed_misty2

  berth token create --user root --superuser --expires 1h
"""


@app.callback()
def tokens_of_the_api() -> None:
    """Tokens for the HTTP API."""


@app.command(epilog=EXAMPLES)
def create(
    user: Annotated[str, typer.Option(help="Whom the token speaks for.")],
    expires: Annotated[str, typer.Option(help="How long it lives, such as 90m, 12h or 30d; at most 366d.")] = "30d",
    superuser: Annotated[bool, typer.Option("--superuser", help="Sees and ends everything.")] = False,
    scope: Annotated[
        list[str] | None, typer.Option(help="Scope, may be repeated; without rw among them it reads only.")
    ] = None,
    instance: Annotated[str | None, typer.Option(help="Works for this instance (its id) only.")] = None,
    type_: Annotated[
        list[str] | None, typer.Option("--type", help="Workspace type it may instantiate, may be repeated.")
    ] = None,
    org: Annotated[str | None, typer.Option(help="Organisation of the user.")] = None,
    issuer: Annotated[str, typer.Option(help="As the chart's value tokens.issuer.")] = "berth",
    audience: Annotated[str, typer.Option(help="As the chart's value tokens.audience.")] = "berth",
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Namespace of Berth's release.")] = "berth",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print a new token on standard output, and its SHA-256 on standard error.

    Needs the right to read the Secret `berth-token-signing`. Berth keeps no copy: who loses it makes another.
    """
    from berth_cli import durations, signing, tokens
    from berth_cli.errors import USAGE, CliError

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
        )
        made = signing.token(request, namespace, kubeconfig)
    except ValueError as error:
        raise CliError(str(error), USAGE) from error
    typer.echo(made)
    typer.echo(f"sha256 {tokens.digest(made)}", err=True)
