"""The commands."""

from pydantic import RootModel


class Commands(RootModel[dict[str, str]]):
    """URL templates (RFC 6570) by name of the command."""
