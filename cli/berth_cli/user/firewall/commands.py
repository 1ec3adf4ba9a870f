"""``berth firewall``: the addresses that may connect to an instance."""

from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.help import Commands
from berth_cli.ui.options import Form, Output
from berth_cli.user import completion
from berth_cli.user.instances.commands import Which
from berth_cli.user.session import ContextName, active, connect, escaped, instance_id, is_id

if TYPE_CHECKING:
    from berth_cli.user.client import Api
    from berth_cli.user.firewall.rules import Rule

app = Commands(help="Addresses that may connect to an instance.")

SHOW_EXAMPLES = """
Examples:

  berth firewall show

  berth firewall show fixed_misty2 --output json
"""
ALLOW_EXAMPLES = """
Examples:

  berth firewall allow

  berth firewall allow 203.0.113.7 198.51.100.0/24

  berth firewall allow fixed_misty2 203.0.113.7
"""
DENY_EXAMPLES = """
Examples:

  berth firewall deny 203.0.113.7

  berth firewall deny 203.0.113.0/24 --reject
"""
CLEAR_EXAMPLES = """
Examples:

  berth firewall clear

  berth firewall clear && berth firewall allow 203.0.113.7
"""
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INSTANCE_OR_SOURCE",
        help="Addresses or networks in CIDR notation; before them the instance, where you have several.",
        autocompletion=completion.instances,
        show_default=False,
    ),
]


@app.callback()
def firewall_of_an_instance() -> None:
    """Access to an instance: rules in order, the first that matches decides, no match drops."""


@app.command(epilog=SHOW_EXAMPLES)
def show(which: Which = None, output: Form = Output.TABLE, context: ContextName = None) -> None:
    """Show the rules in the order of their evaluation."""
    api = connect(context)
    _print(_rules(api, _id(api, which)), output)


@app.command(epilog=ALLOW_EXAMPLES)
def allow(words: Words = None, output: Form = Output.TABLE, context: ContextName = None) -> None:
    """Let addresses or networks in; without any, your present address. Rules are added at the end."""
    _add(words, "ACCEPT", output, context)


@app.command(epilog=DENY_EXAMPLES)
def deny(
    words: Words = None,
    reject: Annotated[bool, typer.Option("--reject", help="Answer with a refusal instead of silence.")] = False,
    output: Form = Output.TABLE,
    context: ContextName = None,
) -> None:
    """Keep addresses or networks out. Their open connections end within half a second."""
    from berth_cli.ui.errors import USAGE, CliError
    from berth_cli.user.firewall import rules

    if not rules.parse(words or []).sources:
        raise CliError(
            "which addresses? Write an address or a network; `berth firewall clear` shuts everyone out", USAGE
        )
    _add(words, "REJECT" if reject else "DROP", output, context)


@app.command(epilog=CLEAR_EXAMPLES)
def clear(which: Which = None, output: Form = Output.TABLE, context: ContextName = None) -> None:
    """Remove all rules: nobody gets in any more, not even you."""
    api = connect(context)
    id_ = _id(api, which)
    api.delete(f"/firewall/{escaped(id_)}")
    _print(_rules(api, id_), output)


def _add(words: list[str] | None, action: str, output: Output, context: str | None) -> None:
    from berth_cli.ui.errors import USAGE, CliError
    from berth_cli.user.firewall import rules

    request = rules.parse(words or [])
    for source in request.sources:
        if rules.network(source) is None:
            raise CliError(f"{source!r} is no address and no network in CIDR notation, such as 192.0.2.0/24", USAGE)
    api = connect(context)
    id_ = _id(api, request.which)
    before = _rules(api, id_)
    if not request.sources:
        api.post(f"/firewall/{escaped(id_)}", {"action": action})
    for source in request.sources:
        api.post(f"/firewall/{escaped(id_)}", {"src": source, "action": action})
        if first := rules.overruled(before, source, action):
            typer.echo(
                f"berth: {source} stays as the earlier rule {first[0]} {first[1]} says: clear, and add in order",
                err=True,
            )
    _print(_rules(api, id_), output)


def _id(api: "Api", which: str | None) -> str:
    return which if which is not None and is_id(which) else instance_id(active(api), which)


def _rules(api: "Api", id_: str) -> "list[Rule]":
    """Read the rules; while there is no chain yet there are none."""
    return [(source, action) for source, action in api.get(f"/firewall/{escaped(id_)}")["rules"] or ()]


def _print(rules_: "list[Rule]", output: Output) -> None:
    from berth_cli.ui.printing import Column, Table
    from berth_cli.ui.printing import show as show_table

    table = Table[tuple[int, str, str]](
        (
            Column("ORDER", lambda row: str(row[0])),
            Column("SOURCE", lambda row: row[1]),
            Column("ACTION", lambda row: row[2]),
        ),
        name=lambda row: row[1],
        wire=lambda row: {"order": row[0], "source": row[1], "action": row[2]},
    )
    rows = [(number, source, action) for number, (source, action) in enumerate(rules_, 1)]
    show_table(rows, table, output, "no rule: nobody gets in; `berth firewall allow` lets you in")
