"""``berth machine add``, ``change`` and ``retire``: machines of one's own, within a MachineGrant."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from berth_cli.ui.options import Form, Output
from berth_cli.user import completion
from berth_cli.user.session import ContextName, Json, connect, escaped, is_id

if TYPE_CHECKING:
    from berth_cli.ui.printing import Table

ADD_EXAMPLES = """
Examples:

  berth machine add lab_arm --address 192.0.2.40 --port 30002 --probe 30002

  berth machine add lab_arm --address 192.0.2.40 --port 30002 --port 7400-7500/UDP --region bench-3

  berth machine add lab_arm --address 192.0.2.41 --address 2001:db8:7::41 --maintenance "first tests" -o name
"""
CHANGE_EXAMPLES = """
Examples:

  berth machine change 01a210b5-b5b5-7955-85d3-691d89e60bba --address 192.0.2.41 --port 30002

  berth machine change 01a210b5-b5b5-7955-85d3-691d89e60bba --maintenance "a new gripper"

  berth machine change 01a210b5-b5b5-7955-85d3-691d89e60bba --no-maintenance --desc "the one with the new gripper"
"""
RETIRE_EXAMPLES = """
Examples:

  berth machine retire 01a210b5-b5b5-7955-85d3-691d89e60bba
"""
Addresses = Annotated[
    list[str] | None,
    typer.Option("--address", metavar="ADDRESS", help="Address or network of the machine; may be repeated."),
]
Ports = Annotated[
    list[str] | None,
    typer.Option(
        "--port", metavar="PORTS", help="Such as 30002, 22/TCP or 7400-7500/UDP; may be repeated. Without: all ports."
    ),
]
Description = Annotated[str | None, typer.Option("--desc", help="Description for people.")]
Region = Annotated[str | None, typer.Option("--region", help="Place where it stands.")]
Version = Annotated[int | None, typer.Option("--type-version", help="Newer ones are lent first.")]
Probe = Annotated[
    int | None, typer.Option("--probe", metavar="PORT", help="TCP port that accepts connections while it is well.")
]
Maintenance = Annotated[
    str | None, typer.Option("--maintenance", metavar="REASON", help="Only its owners may take it, until you end that.")
]
Which = Annotated[str, typer.Argument(metavar="DEPLOYMENT", help="Id of its deployment (`berth search`).")]


def add(
    type_: Annotated[str, typer.Argument(metavar="TYPE", help="Its type.", autocompletion=completion.types)],
    address: Addresses = None,
    port: Ports = None,
    desc: Description = None,
    region: Region = None,
    type_version: Version = None,
    probe: Probe = None,
    maintenance: Maintenance = None,
    output: Form = Output.TABLE,
    context: ContextName = None,
) -> None:
    """Register a machine of your own, with a token, within what an administrator's MachineGrant permits.

    It is lent as soon as the operator has looked at it; where something is wrong, `berth search -o wide` says so.
    """
    import uuid

    from berth_cli.ui.errors import USAGE, CliError

    if not address:
        raise CliError("a machine has an address: name it with --address", USAGE)
    body = _options(desc, region, type_version, probe, maintenance) | {
        "type": type_,
        "machine": _machine(address, port),
    }
    api = connect(context)
    made = api.post("/deployment", body, key=str(uuid.uuid4()))
    _show(api.get(_path(made["id"])), output)
    typer.echo("registered: `berth search -o wide` shows whether it can be had, or why not", err=True)


def change(
    which: Which,
    address: Addresses = None,
    port: Ports = None,
    desc: Description = None,
    region: Region = None,
    type_version: Version = None,
    probe: Probe = None,
    no_probe: Annotated[bool, typer.Option("--no-probe", help="Nobody asks whether it answers.")] = False,
    maintenance: Maintenance = None,
    no_maintenance: Annotated[bool, typer.Option("--no-maintenance", help="Everybody may take it again.")] = False,
    output: Form = Output.TABLE,
    context: ContextName = None,
) -> None:
    """Change a machine that you registered. Its addresses and ports are named anew together, from the next lease on."""
    from berth_cli.ui.errors import USAGE, CliError

    if port and not address:
        raise CliError("--port goes with --address: name all addresses and ports of the machine", USAGE)
    if (no_probe and probe is not None) or (no_maintenance and maintenance is not None):
        raise CliError("an option and its --no- form exclude each other: leave one out", USAGE)
    body = _options(desc, region, type_version, probe, maintenance)
    body |= {"machine": _machine(address, port)} if address else {}
    body |= {"health": None} if no_probe else {}
    body |= {"maintenance": None} if no_maintenance else {}
    if not body:
        raise CliError("nothing to change: name an option, such as --desc", USAGE)
    _show(connect(context).patch(_path(which), body), output)


def retire(which: Which, context: ContextName = None) -> None:
    """Take a machine that you registered away for good; its holder keeps it until the lease ends."""
    connect(context).delete(_path(which))
    typer.echo(f"deployment {which} is retired")


def _path(which: str) -> str:
    """Return the path of a deployment. Raises CliError for what is no id."""
    from berth_cli.ui.errors import USAGE, CliError

    if not is_id(which):
        raise CliError(f"{which!r} is no id of a deployment: `berth search` shows them", USAGE)
    return f"/deployment/{escaped(which)}"


def _options(
    desc: str | None, region: str | None, type_version: int | None, probe: int | None, maintenance: str | None
) -> dict[str, Any]:
    """Return the options of a request that are given."""
    options = {
        "desc": desc,
        "region": region,
        "type_version": type_version,
        "health": {"tcp": probe} if probe is not None else None,
        "maintenance": {"reason": maintenance} if maintenance is not None else None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _machine(addresses: list[str], ports: list[str] | None) -> dict[str, Any]:
    return {"network": {"addresses": addresses, "ports": ports or []}}


def _show(detail: Json, output: Output) -> None:
    from berth_cli.ui.printing import show_one

    show_one(detail, _table(), output)


def _table() -> "Table[Json]":
    from berth_cli.ui.printing import Column, Table
    from berth_cli.user.catalogue import why

    def network(row: Json, part: str) -> str:
        return ", ".join(row["machine"]["network"].get(part) or ()) if row.get("machine") else ""

    return Table[Json](
        (
            Column("DEPLOYMENT", lambda row: row["id"]),
            Column("TYPE", lambda row: row["type"]),
            Column("REGION", lambda row: row["region"]),
            Column("ADDRESSES", lambda row: network(row, "addresses")),
            Column("PORTS", lambda row: network(row, "ports") or "all"),
            Column("GRANT", lambda row: row.get("grant")),
            Column("NOT LENT", why),
            Column("DESCRIPTION", lambda row: row["desc"]),
        ),
        name=lambda row: str(row["id"]),
    )
