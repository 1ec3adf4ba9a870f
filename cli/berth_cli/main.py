"""``berth``, also ``kubectl berth``. Commands import what they need when they run, so that help is quick."""

import sys
from typing import Annotated

import typer

from berth_cli import deployment, key, release, restore, status, token, user, webhook
from berth_cli.errors import EXIT_CODES, CliError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)
app.add_typer(token.app, name="token")
app.add_typer(key.app, name="key")
app.add_typer(user.app, name="user")
app.add_typer(webhook.app, name="webhook")
app.add_typer(deployment.app, name="deployment")
app.command(epilog=status.EXAMPLES)(status.status)
app.command(epilog=release.EXAMPLES)(release.release)
app.command(epilog=restore.EXAMPLES)(restore.restore)


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    typer.echo(installed("berth"))


def _print_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Berth lends out robots and other scarce machines, one holder at a time."""


def main() -> None:
    """Run a command; what it cannot do is one line on standard error and an exit code."""
    try:
        app()
    except CliError as error:
        typer.echo(f"berth: {error.message}", err=True)
        sys.exit(error.code)


if __name__ == "__main__":
    main()
