"""Objects that Berth makes in histories without faults, for a test that asks a real API server about their names."""

import re
from collections.abc import Iterator
from typing import Final

from berth_core.names import GROUP, HEARTBEAT_LABEL

from .cluster import ACCESS, LAB
from .sets import named, played
from .store.kinds import served

HISTORIES: Final = {"full": 4, "tunnels": 1}
"""So many of each set make an object of every shape that histories make."""
ONES_OWN: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8,}|\d+")
"""Parts of a name that are another object's too but for their digits."""
CONTROLLERS: Final = "batch.kubernetes.io/job-name"
"""Label of a pod that Kubernetes makes of a Job."""


def created(seed: int) -> list[tuple[str, str, str]]:
    """One object of each shape that Berth made: its kind's plural, its namespace and its name."""
    found = {
        (plural, namespace, ONES_OWN.sub("0", name)): (plural, namespace, name)
        for which, count in HISTORIES.items()
        for number in range(count)
        for plural, namespace, name in _made(which, seed, number)
    }
    return sorted(found.values())


def _made(which: str, seed: int, number: int) -> Iterator[tuple[str, str, str]]:
    """All that a history made of kinds of Kubernetes, except what people, machines and controllers make."""
    store = played(named(which, seed, number, ())).stage.cluster.store
    for plural, kind in served().items():
        if not kind.namespaced or kind.group == GROUP or plural == "events":
            continue
        for event in store.since(plural, None, 0):
            metadata = event.object["metadata"]
            labels = metadata.get("labels", {})
            is_berths = event.type == "ADDED" and not labels.keys() & {HEARTBEAT_LABEL, CONTROLLERS}
            if is_berths and metadata["namespace"] in (LAB, ACCESS):
                yield plural, metadata["namespace"], metadata["name"]
