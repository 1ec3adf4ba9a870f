"""What was found, and how grave it is. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from berth_cli.checkup.facts import Unseen

SHOWN: Final = 5


class Level(StrEnum):
    """How it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at. ``mend`` is empty where there is nothing to do."""

    check: str
    level: Level
    says: str
    mend: str = ""

    def wire(self) -> dict[str, Any]:
        """As `--output json` and `yaml` print it."""
        return dict(vars(self))


def unseen(check: str, found: Unseen) -> Finding:
    """Return the finding for what could not be read."""
    return Finding(check, Level.UNKNOWN, found.why, "ask an administrator of the cluster, who may read it")


def some(found: Sequence[str]) -> str:
    """Return the first of many, in a line."""
    return ", ".join(found[:SHOWN]) + (" …" if len(found) > SHOWN else "")
