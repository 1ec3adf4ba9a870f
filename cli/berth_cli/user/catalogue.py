"""``berth types`` and ``berth search``: types and deployments, and which are free."""

from collections.abc import Iterable
from typing import Annotated, Any, Final

import typer

from berth_cli.ui.options import Form, Output
from berth_cli.ui.printing import Column, Table, show
from berth_cli.user import completion
from berth_cli.user.session import ContextName, Json, connect

TYPES_EXAMPLES = """
Examples:

  berth types

  berth types --output json
"""
SEARCH_EXAMPLES = """
Examples:

  berth search

  berth search misty --free

  berth search --type fixed_misty2 --type bench_arm -o wide
"""

TYPES: Final = Table[Json](
    (
        Column("TYPE", lambda row: row["type"]),
        Column("DEPLOYMENTS", lambda row: str(row["deployments"])),
        Column("FREE", lambda row: str(row["free"])),
        Column("REGIONS", lambda row: ", ".join(row["regions"])),
        Column("QUEUE", lambda row: None if row["queuelen"] is None else str(row["queuelen"])),
    ),
    name=lambda row: str(row["type"]),
    good=lambda row: row["free"] > 0,
)
DEPLOYMENTS: Final = Table[Json](
    (
        Column("DEPLOYMENT", lambda row: row["id"]),
        Column("TYPE", lambda row: row["type"]),
        Column("REGION", lambda row: row["region"]),
        Column("STATE", lambda row: state(row)),
        Column("QUEUE", lambda row: str(row["queuelen"])),
        Column("WHY", lambda row: why(row), wide=True),
        Column("VERSION", lambda row: str(row["type_version"]), wide=True),
        Column("COMPLETED", lambda row: str(row["icounter"]), wide=True),
        Column("CREATED", lambda row: row["created"], wide=True),
        Column("DESCRIPTION", lambda row: row["desc"], wide=True),
    ),
    name=lambda row: str(row["id"]),
    good=lambda row: is_free(row),
)


def is_free(info: Json) -> bool:
    """Tell whether a deployment can be had now, as lists show it. Pure."""
    return bool(info["online"]) and info["queuelen"] == 0 and "maintenance" not in info


def state(info: Json) -> str:
    """State of a deployment in a word, with the end of a maintenance. Pure."""
    if (maintenance := info.get("maintenance")) is not None:
        return f"maintenance until {maintenance['until']}" if maintenance.get("until") else "maintenance"
    return "free" if is_free(info) else "busy" if info["online"] else "offline"


def why(info: Json) -> str | None:
    """Why a deployment cannot be had, where that is not its holder. Pure."""
    maintenance = info.get("maintenance")
    return str(maintenance["reason"]) if maintenance is not None else info.get("offline")


def summaries(names: Iterable[str], infos: Iterable[Json]) -> list[Json]:
    """Count deployments by type; ``queuelen`` is the shortest queue, null where there is no deployment. Pure."""
    by_type: dict[str, list[Json]] = {name: [] for name in names}
    for info in infos:
        by_type.setdefault(info["type"], []).append(info)
    return [
        {
            "type": name,
            "deployments": len(deployments),
            "free": sum(map(is_free, deployments)),
            "regions": sorted({info["region"] for info in deployments if info["region"]}),
            "queuelen": min((info["queuelen"] for info in deployments), default=None),
        }
        for name, deployments in sorted(by_type.items())
    ]


def types(output: Form = Output.TABLE, context: ContextName = None) -> None:
    """Show the types of machines, and how many of each are free. Needs no token."""
    api = connect(context)
    names = api.get("/workspaces")["workspace_types"]
    infos = api.get("/deployments", info=1)["info"].values()
    show(summaries(names, infos), TYPES, output, "there are no types here: ask an administrator")


def search(
    query: Annotated[str, typer.Argument(help="Part of a type, a region or a description.")] = "",
    type_: Annotated[
        list[str] | None,
        typer.Option("--type", "-t", help="Of this type; may be repeated.", autocompletion=completion.types),
    ] = None,
    free: Annotated[bool, typer.Option("--free", help="Only free ones.")] = False,
    dissolved: Annotated[bool, typer.Option("--dissolved", help="Also dissolved ones.")] = False,
    output: Form = Output.TABLE,
    context: ContextName = None,
) -> None:
    """Search the deployments: the machines that can be had, one holder at a time. Needs no token."""
    query_words: dict[str, Any] = {"q": query or None, "types": ",".join(type_ or ()) or None, "info": 1}
    query_words |= {"maxlen": 0} if free else {}
    query_words |= {"with_dissolved": 1} if dissolved else {}
    answer = connect(context).get("/deployments", **query_words)
    rows = [{"id": id_} | answer["info"][id_] for id_ in answer["workspace_deployments"]]
    rows = [row for row in rows if not free or is_free(row)]
    hint = "with a place in the queue: `berth new TYPE --reserve`" if free else "`berth types` shows all types"
    show(rows, DEPLOYMENTS, output, f"nothing found: {hint}")
