"""First steps of commands: find the API and the instance that are meant."""

import os
import re
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from berth_cli.ui.errors import FAILED, NOT_FOUND, CliError
from berth_cli.user import completion, contexts

if TYPE_CHECKING:
    from berth_cli.user.client import Api

ContextName = Annotated[
    str | None,
    typer.Option(
        "--context",
        metavar="NAME",
        help="API and token; else BERTH_API and BERTH_TOKEN, else as BERTH_CONTEXT or `berth config use` says.",
        autocompletion=completion.names,
    ),
]
Json = dict[str, Any]
LEAST_DIGITS: Final = 4
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def connect(context: str | None) -> "Api":
    """Return the chosen API. Raises CliError; warns of a token that others can read."""
    from berth_cli.user.client import Api

    file, path = contexts.load()
    current = contexts.choose(context, os.environ, file, path)
    if readable_file := contexts.readable_by_others(current, path):
        typer.echo(
            f"berth: other users of this machine can read the token in {readable_file}: chmod 600 {readable_file}",
            err=True,
        )
    return Api(contexts.place(context))


def active(api: "Api") -> list[Json]:
    """List the caller's active instances, the newest first: id, status, deployment, type, region, starttime."""
    return list(api.get("/instances", details=1)["workspace_instances"])


def instance(api: "Api", word: str | None) -> Json:
    """Read the meant instance: by its id, some of its digits, its type or deployment; else the only one."""
    if word is not None and is_id(word):
        return dict(api.get(f"/instance/{escaped(word)}"))
    answer: Json = api.get(f"/instance/{escaped(instance_id(active(api), word))}")
    return answer


def instance_id(there: list[Json], word: str | None) -> str:
    """Return the id that is meant. Raises CliError that names the existing ones. Pure."""
    fitting = [one for one in there if word is None or _fits(one, word)]
    if len(fitting) == 1:
        return str(fitting[0]["id"])
    choices = "; ".join(f"{one['id']} ({one['type']}, {one['status']})" for one in fitting or there)
    if not there:
        raise CliError("you have no active instance: `berth new TYPE` takes one, `berth types` shows what", NOT_FOUND)
    if not fitting:
        raise CliError(f"you have no active instance {word!r}, but {choices}", NOT_FOUND)
    raise CliError(f"which of your instances? Name one: {choices}", FAILED)


def _fits(one: Json, word: str) -> bool:
    is_part = len(word) >= LEAST_DIGITS and (one["id"].startswith(word) or one["id"].endswith(word))
    return is_part or word in (one["type"], one["deployment"])


def is_id(word: str) -> bool:
    """Tell whether a word is a whole id."""
    return _ID.fullmatch(word) is not None


def escaped(word: str) -> str:
    """Return a word as one segment of a path. Pure."""
    return quote(word, safe="")
