"""``berth webhook``: secrets for receivers of webhooks."""

from typing import Annotated

import typer

from berth_cli.ui.help import Commands
from berth_cli.ui.options import Kubeconfig, Release

app = Commands(help="Webhooks (`eurl`).")

EXAMPLES = """
Examples:

  berth webhook secret alice
"""


@app.callback()
def webhooks_of_users() -> None:
    """Webhooks (`eurl`): secrets for their receivers."""


@app.command(epilog=EXAMPLES)
def secret(
    user: Annotated[str, typer.Argument(help="The user's name, as tokens have it.")],
    namespace: Release = "berth",
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print the secret with which a user verifies their webhooks; give it to nobody else.

    It stays the same until the installation gets new keys for webhooks.
    """
    from berth_cli.admin import cluster
    from berth_cli.admin.tokens import claims
    from berth_cli.admin.webhooks import secrets
    from berth_cli.ui.errors import USAGE, CliError

    try:
        claims.check_user(user)
    except ValueError as error:
        raise CliError(str(error), USAGE) from error
    typer.echo(cluster.ask(kubeconfig, lambda client: secrets.user_secret(client, namespace, user)))
