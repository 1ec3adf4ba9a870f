"""``berth list``, ``info``, ``extend`` and ``end``: instances of the caller."""

from typing import Annotated

import typer

from berth_cli.ui.options import Form, Output
from berth_cli.user import completion
from berth_cli.user.session import ContextName, active, connect, escaped, instance, instance_id, is_id

LIST_EXAMPLES = """
Examples:

  berth list

  berth list --all --output wide

  berth list -o name
"""
INFO_EXAMPLES = """
Examples:

  berth info

  berth info 01a210b5-b5b5-7955-85d3-691d89e60bba --output json

  berth info fixed_misty2
"""
EXTEND_EXAMPLES = """
Examples:

  berth extend --for 2h

  berth extend 01a210b5-b5b5-7955-85d3-691d89e60bba --for 30m
"""
END_EXAMPLES = """
Examples:

  berth end

  berth end 01a210b5-b5b5-7955-85d3-691d89e60bba --wait

  berth end --all
"""
Which = Annotated[
    str | None,
    typer.Argument(
        metavar="INSTANCE",
        help="Its id, 4 or more of the first or last digits, its type or deployment; else the only active one.",
        autocompletion=completion.instances,
        show_default=False,
    ),
]


def list_(
    all_: Annotated[bool, typer.Option("--all", "-a", help="Also ended ones, and those that failed to start.")] = False,
    type_: Annotated[
        str | None, typer.Option("--type", "-t", help="Of this type only.", autocompletion=completion.types)
    ] = None,
    output: Form = Output.TABLE,
    context: ContextName = None,
) -> None:
    """Show your instances, the newest first."""
    from berth_cli.ui.printing import show
    from berth_cli.user import shapes

    api = connect(context)
    query = {"include_terminated": 1, "include_init_fail": 1} if all_ else {}
    path = f"/instances/{escaped(type_)}" if type_ else "/instances"
    rows = api.get(path, details=1, **query)["workspace_instances"]
    if output is Output.WIDE:
        rows = [api.get(f"/instance/{row['id']}") if row["status"] == "READY" else row for row in rows]
    show(rows, shapes.INSTANCES, output, "you have no instance: `berth new TYPE` takes one, `berth types` shows what")


def info(which: Which = None, output: Form = Output.TABLE, context: ContextName = None) -> None:
    """Show an instance: its state, address, and until when it is yours."""
    from berth_cli.ui.printing import show_one
    from berth_cli.user import shapes

    show_one(instance(connect(context), which), shapes.INSTANCE, output)


def extend(
    which: Which = None,
    for_: Annotated[str, typer.Option("--for", metavar="TIME", help="From now, such as 30m or 2h.")] = "1h",
    output: Form = Output.TABLE,
    context: ContextName = None,
) -> None:
    """Put off the end of an instance. While others wait in the queue this may be refused."""
    from berth_cli.ui.errors import USAGE, CliError
    from berth_cli.ui.printing import show_one
    from berth_cli.user import shapes
    from berth_core import durations

    try:
        seconds = int(durations.parse(for_).total_seconds())
    except ValueError as error:
        raise CliError(str(error), USAGE) from error
    api = connect(context)
    id_ = which if which is not None and is_id(which) else instance_id(active(api), which)
    api.post(f"/instance/{escaped(id_)}/extend", {"expire_d": seconds})
    show_one(api.get(f"/instance/{escaped(id_)}"), shapes.INSTANCE, output)


def end(
    which: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INSTANCE",
            help="As for `berth info`; else the only active one.",
            autocompletion=completion.instances,
            show_default=False,
        ),
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="All active instances of yours.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until the machine is free again.")] = False,
    context: ContextName = None,
) -> None:
    """Give instances back. Their connections are cut at once; their keys on this machine are removed."""
    from berth_cli.ui.errors import USAGE, CliError
    from berth_cli.user.instances import following, progress, store

    if all_ and which:
        raise CliError("--all and ids exclude each other: leave one out", USAGE)
    api = connect(context)
    words: list[str | None] = [*which] if which else [None]
    instances = active(api) if all_ or not all(word is not None and is_id(word) for word in words) else []
    ids = (
        [str(one["id"]) for one in instances]
        if all_
        else [word if word is not None and is_id(word) else instance_id(instances, word) for word in words]
    )
    if not ids:
        typer.echo("you have no active instance: nothing to do", err=True)
    for id_ in ids:
        typer.echo(following.end(api, id_))
        store.forget(id_)
    if wait:
        with progress.progress() as tell:
            for id_ in ids:
                following.Follower(api, tell, None).until_ended(id_)
