"""Rows of the tables of conditions. Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple

NOTHING: Final = "Nothing."
WAIT: Final = "Wait."


class Reason(NamedTuple):
    """One reason: its word, the conditions that show it, the moment it is set, and the next step of a person."""

    word: str
    conditions: tuple[str, ...]
    when: str
    step: str = NOTHING


class Conditions(NamedTuple):
    """Conditions of a kind: the meaning of each type where it is True, and the reasons."""

    kind: str
    types: Mapping[str, str]
    reasons: tuple[Reason, ...]


READABLE: Final = "Readable"
STALLED: Final = "Stalled"
OF_ALL: Final = Conditions(
    "All kinds with a status",
    {
        READABLE: "The operator can read the object; absent until it once could not.",
        STALLED: "The cluster refuses what the operator writes for the object; absent until it once did for long.",
    },
    (
        Reason(
            "Unreadable",
            (READABLE,),
            "A field has a value that this version does not understand. The object stays as it is.",
            "Correct the field that the message names, or install the version that wrote it.",
        ),
        Reason("Read", (READABLE,), "The object can be read again."),
        Reason(
            "ClusterRefuses",
            (STALLED,),
            "A policy, a quota or a missing right has refused a write for some 15 s.",
            "Correct the one that the message names. The operator tries again every 30 s.",
        ),
        Reason("Proceeds", (STALLED,), "Nothing is refused any more."),
    ),
)
