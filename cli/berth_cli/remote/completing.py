"""What shells complete: ids and types, asked of the API. A shell that waits is worse than no completion."""

from typing import Final

from berth_cli.errors import CliError
from berth_cli.remote import contexts

SECONDS: Final = 1.0


def types(incomplete: str) -> list[str]:
    """Types of machines."""
    return [name for name in _ask("/workspaces", "workspace_types") if name.startswith(incomplete)]


def instances(incomplete: str) -> list[str]:
    """Ids of the caller's active instances."""
    return [one for one in _ask("/instances", "workspace_instances") if one.startswith(incomplete)]


def names(incomplete: str) -> list[str]:
    """Contexts of the configuration file."""
    try:
        return [name for name in contexts.load()[0].by_name if name.startswith(incomplete)]
    except CliError:
        return []  # nobody reads an error while he presses the tab key


def _ask(path: str, field: str) -> list[str]:
    from berth_cli.remote.client import Api

    try:
        return list(Api(contexts.place(None), SECONDS).get(path)[field])
    except CliError:
        return []  # the same
