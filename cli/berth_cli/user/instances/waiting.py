"""Steps from a request to READY, and the pauses between looks. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

FIRST_LOOK: Final = 0.25
INSTANCE_LOOK: Final = 2.0
QUEUE_LOOK: Final = 10.0
GROWTH: Final = 1.4
FAILED_WORDS: Final = frozenset({"INIT_FAIL", "TERMINATING", "TERMINATED"})
NAMES: Final = {
    "bound": "machine",
    "prepared": "prepared",
    "repo": "repository",
    "pod": "pod",
    "network": "network",
    "vpn": "vpn",
}
"""Steps of the API (field `progress`) in their order, and their names for people."""


@dataclass(frozen=True)
class Step:
    """A step on the way: done, under way (the first that is not done), or still to come."""

    name: str
    done: bool


def looks(longest: float) -> Iterator[float]:
    """Seconds between looks: short at first, never longer than ``longest``, to keep requests few."""
    pause = FIRST_LOOK
    while True:
        yield pause
        pause = min(pause * GROWTH, longest)


def steps(info: Json, *, queued: bool) -> list[Step]:
    """Steps of an instance as `GET /instance/:id` shows it."""
    ready = info["status"] == "READY"
    progress = info.get("progress") or {}
    before = [Step("queue", True)] if queued else []
    if not progress:
        return [*before, Step("ready", ready)]
    return [
        *before,
        *(Step(name, bool(progress[key])) for key, name in NAMES.items() if key in progress),
        Step("ready", ready),
    ]


def line(steps: list[Step]) -> str:
    """Write steps as one line.

    >>> line([Step("pod", True), Step("network", False), Step("ready", False)])
    'pod ✓  network …  ready'
    """
    words, reached = [], True
    for step in steps:
        words.append(step.name + (" ✓" if step.done else " …" if reached else ""))
        reached = reached and step.done
    return "  ".join(words)


def place(reservation: Json) -> str:
    """Tell a reservation's place in the queue."""
    eta = f", its turn comes by {reservation['eta']}" if reservation.get("eta") else ""
    return f"queue: place {reservation['position']}{eta}"
