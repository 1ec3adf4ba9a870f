"""``berth``, also ``kubectl berth``. Commands import their modules when they run, so that help is quick."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from berth_cli.admin import audit
from berth_cli.admin.connectors import commands as connector
from berth_cli.admin.deployments import commands as deployment
from berth_cli.admin.deployments import release, status
from berth_cli.admin.doctor import commands as doctor
from berth_cli.admin.keys import commands as key
from berth_cli.admin.machines import commands as machine
from berth_cli.admin.restore import commands as restore
from berth_cli.admin.tokens import commands as token
from berth_cli.admin.users import commands as user
from berth_cli.admin.webhooks import commands as webhook
from berth_cli.ui import terminal
from berth_cli.ui.errors import EXIT_CODES, CliError
from berth_cli.ui.help import KEEPERS, OTHERS, PEOPLE, Commands, Dashed
from berth_cli.user import catalogue, config, queues, vpn
from berth_cli.user.builds import commands as ci
from berth_cli.user.firewall import commands as firewall
from berth_cli.user.instances import commands as instances
from berth_cli.user.instances import new
from berth_cli.user.ssh import commands as ssh

app = Commands(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
    add_completion=True,
)
app.command(epilog=catalogue.TYPES_EXAMPLES, rich_help_panel=PEOPLE)(catalogue.types)
app.command(epilog=catalogue.SEARCH_EXAMPLES, rich_help_panel=PEOPLE)(catalogue.search)
app.command(epilog=new.EXAMPLES, rich_help_panel=PEOPLE)(new.new)
app.command(name="list", epilog=instances.LIST_EXAMPLES, rich_help_panel=PEOPLE)(instances.list_)
app.command(epilog=instances.INFO_EXAMPLES, rich_help_panel=PEOPLE)(instances.info)
app.command(
    cls=Dashed,
    epilog=ssh.SSH_EXAMPLES,
    rich_help_panel=PEOPLE,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(ssh.ssh)
app.command(epilog=ssh.SCP_EXAMPLES, rich_help_panel=PEOPLE)(ssh.scp)
app.command(name="port-forward", epilog=ssh.FORWARD_EXAMPLES, rich_help_panel=PEOPLE)(ssh.port_forward)
app.add_typer(firewall.app, name="firewall", rich_help_panel=PEOPLE)
app.add_typer(vpn.app, name="vpn", rich_help_panel=PEOPLE)
app.command(epilog=instances.EXTEND_EXAMPLES, rich_help_panel=PEOPLE)(instances.extend)
app.command(epilog=instances.END_EXAMPLES, rich_help_panel=PEOPLE)(instances.end)
app.command(epilog=queues.QUEUE_EXAMPLES, rich_help_panel=PEOPLE)(queues.queue)
app.add_typer(queues.app, name="reservations", rich_help_panel=PEOPLE)
app.add_typer(ci.app, name="ci", rich_help_panel=PEOPLE)
app.command(epilog=status.EXAMPLES, rich_help_panel=KEEPERS)(status.status)
app.command(epilog=doctor.EXAMPLES, rich_help_panel=KEEPERS)(doctor.doctor)
app.add_typer(deployment.app, name="deployment", rich_help_panel=KEEPERS)
app.add_typer(machine.app, name="machine", rich_help_panel=KEEPERS)
app.add_typer(connector.app, name="connector", rich_help_panel=KEEPERS)
app.command(epilog=release.EXAMPLES, rich_help_panel=KEEPERS)(release.release)
app.add_typer(token.app, name="token", rich_help_panel=KEEPERS)
app.add_typer(key.app, name="key", rich_help_panel=KEEPERS)
app.add_typer(user.app, name="user", rich_help_panel=KEEPERS)
app.add_typer(webhook.app, name="webhook", rich_help_panel=KEEPERS)
app.command(epilog=restore.EXAMPLES, rich_help_panel=KEEPERS)(restore.restore)
app.add_typer(audit.app, name="audit", rich_help_panel=KEEPERS)
app.add_typer(config.app, name="config", rich_help_panel=OTHERS)


@app.command(rich_help_panel=OTHERS)
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as installed

    typer.echo(installed("berth"))


class Shell(StrEnum):
    """Shells that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


COMPLETION_EXAMPLES = """
Examples:

  source <(berth completion bash)

  berth completion fish > ~/.config/fish/completions/berth.fish
"""


@app.command(epilog=COMPLETION_EXAMPLES, rich_help_panel=OTHERS)
def completion(shell: Annotated[Shell, typer.Argument(help="Which shell.")]) -> None:
    """Print the script by which a shell completes commands, types and ids."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]  # not in its __all__

    typer.echo(get_completion_script(prog_name="berth", complete_var="_BERTH_COMPLETE", shell=shell.value))


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
    """Run a command; a failure is one line on standard error and an exit code."""
    terminal.guard()
    try:
        app()
    except CliError as error:
        typer.echo(f"berth: {error.message}", err=True)
        sys.exit(error.code)


if __name__ == "__main__":
    main()
