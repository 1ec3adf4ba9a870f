"""``berth vpn``: profiles of an instance's VPN."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.help import Commands
from berth_cli.ui.options import Form, Output
from berth_cli.user.instances.commands import Which
from berth_cli.user.session import ContextName, Json, active, connect, escaped, instance_id, is_id

if TYPE_CHECKING:
    from berth_cli.user.client import Api

app = Commands(help="The VPN of an instance.")

SHOW_EXAMPLES = """
Examples:

  berth vpn show

  berth vpn show fixed_misty2 --output json
"""
GET_EXAMPLES = """
Examples:

  berth vpn get --file robot.ovpn && sudo openvpn --config robot.ovpn

  berth vpn get 01a210b5-b5b5-7955-85d3-691d89e60bba > robot.ovpn
"""
REVOKE_EXAMPLES = """
Examples:

  berth vpn revoke 0d8f6a3e-1b1c-4f7e-9a55-0f6f3c1d7b42

  berth vpn revoke --instance fixed_misty2 0d8f6a3e-1b1c-4f7e-9a55-0f6f3c1d7b42
"""
PATIENCE_SECONDS = 60.0


@app.callback()
def vpn_of_an_instance() -> None:
    """The VPN of an instance that was asked for with `berth new --vpn`."""


@app.command(epilog=SHOW_EXAMPLES)
def show(which: Which = None, output: Form = Output.TABLE, context: ContextName = None) -> None:
    """Show the clients of the VPN; `workspace` is the instance itself."""
    from berth_cli.ui.printing import Column, Table
    from berth_cli.ui.printing import show as show_table

    api = connect(context)
    vpn = api.get(f"/vpn/{escaped(_id(api, which))}")
    if vpn["status"] != "ready" and output in (Output.TABLE, Output.WIDE):
        meaning = {"nil": "this instance has no VPN: `berth new --vpn` asks for one"}
        typer.echo(meaning.get(vpn["status"], f"the VPN is {vpn['status']}"), err=True)
    table = Table[str]((Column("CLIENT", lambda row: row),), name=lambda row: row, wire=lambda row: {"client": row})
    show_table(vpn.get("clients") or [], table, output, "no clients: `berth vpn get` makes one")


@app.command(epilog=GET_EXAMPLES)
def get(
    which: Which = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", help="Where the profile is written, for you alone; else it is printed."),
    ] = None,
    context: ContextName = None,
) -> None:
    """Make a client, and print its profile for `openvpn --config`: it holds a private key, and is shown once.

    The client's id, by which it is revoked, is told on standard error.
    """
    api = connect(context)
    profile = _make(api, _id(api, which))
    if file is None:
        typer.echo(profile["ovpn"], nl=False)
    else:
        _write(file, profile["ovpn"])
    typer.echo(f"client {profile['client_id']}: `berth vpn revoke` ends it", err=True)


@app.command(epilog=REVOKE_EXAMPLES)
def revoke(
    client: Annotated[str, typer.Argument(help="Id of the client; `berth vpn show` lists them.")],
    instance: Annotated[str | None, typer.Option("--instance", help="As for `berth info`; else the only one.")] = None,
    context: ContextName = None,
) -> None:
    """End a client of the VPN, its connection too, for good."""
    api = connect(context)
    api.delete(f"/vpn/{escaped(_id(api, instance))}/{escaped(client)}")
    typer.echo(f"client {client} is revoked")


def _id(api: "Api", which: str | None) -> str:
    return which if which is not None and is_id(which) else instance_id(active(api), which)


def _make(api: "Api", id_: str) -> Json:
    """Ask for a client until the VPN is ready, within bounds."""
    import time

    from berth_cli.ui.errors import BUSY, FAILED, CliError
    from berth_cli.user.client import Refused

    if api.get(f"/vpn/{escaped(id_)}")["status"] == "nil":
        raise CliError(f"instance {id_} has no VPN: `berth new --vpn` asks for one", FAILED)
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return dict(api.post(f"/vpn/{escaped(id_)}"))
        except Refused as error:
            if error.code != BUSY or error.status != 503 or time.monotonic() > until:
                raise
        typer.echo("the VPN is being prepared; trying again", err=True)
        time.sleep(1)


def _write(file: Path, profile: str) -> None:
    """Write a profile for this user alone; an existing file may hold another key, and stays."""
    import os

    from berth_cli.ui.errors import FAILED, CliError

    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(profile)
    except OSError as error:
        # The profile exists nowhere else: print it rather than lose it.
        typer.echo(profile, nl=False)
        raise CliError(
            f"{file} cannot be written ({error.strerror}): the profile was printed instead", FAILED
        ) from error
