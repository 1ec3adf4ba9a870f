"""``berth ssh``, ``scp`` and ``port-forward``: OpenSSH with the announced host keys and the right key; no questions."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from berth_cli.ui.help import Dashed
from berth_cli.user import completion
from berth_cli.user.instances.commands import Which
from berth_cli.user.session import ContextName, Json, connect, instance

SSH_EXAMPLES = """
Examples:

  berth ssh

  berth ssh 01a210b5-b5b5-7955-85d3-691d89e60bba

  berth ssh -- uname -a

  berth ssh fixed_misty2 -- tail -f /var/log/robot.log
"""
SCP_EXAMPLES = """
Examples:

  berth scp program.py :

  berth scp -r :/scratch/results .

  berth scp 01a210b5-b5b5-7955-85d3-691d89e60bba:log.txt .
"""
FORWARD_EXAMPLES = """
Examples:

  berth port-forward 8080:80

  berth port-forward fixed_misty2 8080:80 :5000

  berth port-forward --address 0.0.0.0 9090
"""
Identity = Annotated[
    Path | None,
    typer.Option("--identity", "-i", metavar="FILE", help="Private key; else the one that Berth made or was given."),
]


def ssh(
    ctx: typer.Context,
    which: Which = None,
    identity: Identity = None,
    tty: Annotated[bool, typer.Option("--tty", "-t", help="A terminal for the command, too.")] = False,
    context: ContextName = None,
) -> None:
    """Open a shell in an instance, or run a command there: write it after `--`.

    The host keys are those that the API announces, so ssh asks nothing. Your ssh configuration counts as far as it does
    not contradict this.
    """
    from berth_cli.ui.errors import USAGE, CliError
    from berth_cli.user.ssh import openssh

    if ctx.args:
        raise CliError(f"a command is written after `--`: berth ssh {which} -- {' '.join(ctx.args)}", USAGE)
    login = _login(which, identity, context)
    command = ctx.meta.get(Dashed.AFTER) or []
    words = ["-t"] if tty else []
    _become(["ssh", *openssh.options(login), *words, "-p", str(login.port), login.target, *command])


def scp(
    source: Annotated[list[str], typer.Argument(metavar="SOURCE", help="Files here, or INSTANCE:PATH, or :PATH.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The same: one of both sides is an instance.")],
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Whole folders.")] = False,
    identity: Identity = None,
    context: ContextName = None,
) -> None:
    """Copy files to or from an instance. `:PATH` is at your only active instance."""
    from berth_cli.user.ssh import openssh

    which = openssh.instance_of([*source, target])
    login = _login(which, identity, context)
    words = [openssh.remote(word, login.target) for word in (*source, target)]
    _become(["scp", *openssh.options(login), *(["-r"] if recursive else []), "-P", str(login.port), "--", *words])


def port_forward(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="INSTANCE_OR_PORTS",
            help="Ports, as kubectl has them: 8080:80, 80 for the same on both sides, :80 for a free one here;"
            " before them the instance, where you have several.",
            autocompletion=completion.instances,
        ),
    ],
    address: Annotated[str, typer.Option("--address", help="Address to listen on here.")] = "127.0.0.1",
    identity: Identity = None,
    context: ContextName = None,
) -> None:
    """Forward ports of this machine to an instance, until Ctrl-C."""
    from berth_cli.user.ssh import openssh

    which, ports = openssh.ports(words)
    login = _login(which, identity, context)
    _become(
        ["ssh", *openssh.options(login), *openssh.forwards(address, ports), "-N", "-p", str(login.port), login.target]
    )


def _login(which: str | None, identity: Path | None, context: str | None) -> "sshing.Login":  # type: ignore[name-defined]  # noqa: F821
    from berth_cli.user.ssh import openssh

    api = connect(context)
    info: Json = instance(api, which)
    return openssh.login(api, info, identity)


def _become(command: list[str]) -> NoReturn:
    """Replace this process by the program, which so has its own exit code, terminal and signals."""
    import os
    import sys

    from berth_cli.ui.errors import FAILED, CliError

    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(command[0], command)  # noqa: S606 (no shell is wanted)
    except OSError as error:
        raise CliError(f"{command[0]} cannot be started: {error.strerror}: install OpenSSH's client", FAILED) from error
