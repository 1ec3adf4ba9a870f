"""``berth reservations`` and ``berth queue``: waiting reservations, and lengths of queues."""

from typing import TYPE_CHECKING, Annotated

import typer

from berth_cli.ui.help import Commands
from berth_cli.ui.options import Form, Output
from berth_cli.user import completion
from berth_cli.user.session import ContextName, Json, connect, escaped, is_id

if TYPE_CHECKING:
    from berth_cli.user.client import Api

app = Commands(help="Your places in the queue.", no_args_is_help=False)

LIST_EXAMPLES = """
Examples:

  berth reservations list

  berth reservations list --output json
"""
CANCEL_EXAMPLES = """
Examples:

  berth reservations cancel 01a210b5-b5b5-7955-85d3-691d89e60bba

  berth reservations cancel $(berth reservations list -o name)
"""
QUEUE_EXAMPLES = """
Examples:

  berth queue fixed_misty2

  berth queue 5b3f1a57-0a53-4c39-9d8e-8c1f6d2b7e10 --output json
"""


@app.callback(invoke_without_command=True)
def places_in_the_queue(ctx: typer.Context, output: Form = Output.TABLE, context: ContextName = None) -> None:
    """Your places in the queue; `berth new --reserve` takes one. Without a command: list them."""
    from berth_cli.ui.errors import USAGE, CliError

    if ctx.invoked_subcommand is None:
        list_(output, context)
    elif output is not Output.TABLE or context is not None:
        raise CliError(f"write options behind the command: `berth reservations {ctx.invoked_subcommand} …`", USAGE)


@app.command(name="list", epilog=LIST_EXAMPLES)
def list_(output: Form = Output.TABLE, context: ContextName = None) -> None:
    """Show your waiting reservations, in the order of the queue."""
    from berth_cli.ui.printing import show
    from berth_cli.user import shapes

    rows = connect(context).get("/reservations")["reservations"]
    show(
        rows, shapes.RESERVATION, output, "you wait for nothing: `berth new TYPE --reserve` takes a place in the queue"
    )


@app.command(epilog=CANCEL_EXAMPLES)
def cancel(
    ids: Annotated[list[str], typer.Argument(metavar="RESERVATION", help="Ids of reservations.")],
    context: ContextName = None,
) -> None:
    """Give up places in the queue, for good."""
    api = connect(context)
    for id_ in ids:
        api.delete(f"/reservation/{escaped(id_)}")
        typer.echo(f"reservation {id_} is given up")


def queue(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TYPE_OR_DEPLOYMENT",
            help="A type, or ids of deployments; else all types.",
            autocompletion=completion.types,
            show_default=False,
        ),
    ] = None,
    output: Form = Output.TABLE,
    context: ContextName = None,
) -> None:
    """Show the queues of deployments that you may have, and when these become free."""
    from berth_cli.ui.printing import show
    from berth_cli.user import shapes

    api = connect(context)
    ids = [word for word in targets or () if is_id(word)]
    types = [word for word in targets or () if not is_id(word)]
    if not targets:
        types = api.get("/workspaces")["workspace_types"]
    rows = [row for name in types for row in _rows(api, api.get(f"/qlen/{escaped(name)}"), name)]
    if ids:
        rows += _rows(api, api.get("/qlen", wds=",".join(ids)), None)
    show(rows, shapes.QUEUE, output, "you may instantiate none of these: `berth types` shows all types")


def _rows(api: "Api", lengths: dict[str, Json], type_: str | None) -> list[Json]:
    return [
        {"id": id_, "type": type_ or api.get(f"/deployment/{escaped(id_)}")["type"], **one}
        for id_, one in lengths.items()
    ]
