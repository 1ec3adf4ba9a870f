"""Completions for shells: ids and types, from the API. Requests are short, since a hanging shell is worse than none."""

import re
from typing import Final

from berth_cli.ui.errors import CliError
from berth_cli.user import contexts

SECONDS: Final = 1.0
PLAIN: Final = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")


def types(incomplete: str) -> list[str]:
    """Types of machines."""
    return [name for name in _ask("/workspaces", "workspace_types") if name.startswith(incomplete)]


def instances(incomplete: str) -> list[str]:
    """Ids of the caller's active instances."""
    return [one for one in _ask("/instances", "workspace_instances") if one.startswith(incomplete)]


def names(incomplete: str) -> list[str]:
    """Contexts of the configuration file."""
    try:
        contexts_by_name = contexts.load()[0].by_name
        return [name for name in contexts_by_name if name.startswith(incomplete) and PLAIN.fullmatch(name)]
    except CliError:
        return []  # nobody reads an error while pressing the tab key


def _ask(path: str, field: str) -> list[str]:
    from berth_cli.user.client import Api

    try:
        words = list(Api(contexts.place(None), SECONDS).get(path)[field])
    except (CliError, KeyError, TypeError):
        return []  # the same
    # A shell may evaluate completions, and the API is not trusted that far.
    return [one for one in words if isinstance(one, str) and PLAIN.fullmatch(one)]
