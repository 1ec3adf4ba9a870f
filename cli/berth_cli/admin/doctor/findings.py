"""Findings and their levels. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from berth_cli.admin.doctor.facts import Unseen


class Level(StrEnum):
    """Level of a finding."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"
    OPEN = "open"
    """Nothing of Berth's holds it: `mend` says what else can."""


@dataclass(frozen=True)
class Finding:
    """Result of one check. ``mend`` is empty where there is nothing to do."""

    check: str
    level: Level
    says: str
    mend: str = ""

    def wire(self) -> dict[str, Any]:
        """As `--output json` and `yaml` print it."""
        return dict(vars(self))


def unseen(check: str, part: Unseen) -> Finding:
    """Return the finding for a fact that could not be read."""
    return Finding(check, Level.UNKNOWN, part.why, "ask an administrator of the cluster, who may read it")


def unlisted(check: str, unseen_kinds: Mapping[str, str], kinds: Iterable[str]) -> Iterator[Finding]:
    """Yield the finding for lists that could not be read, by kind; none where all could."""
    missing = [kind for kind in kinds if kind in unseen_kinds]
    if missing:
        yield unseen(check, Unseen(f"{', '.join(missing)} cannot be listed: {unseen_kinds[missing[0]]}"))
