"""Cordoned nodes, which take no new pods, as before a drain. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from berth_core.kube.model import parse_time
from berth_core.kube.types import Object

TAINT: Final[Object] = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
"""Kubernetes' node controller puts it on a cordoned node, without a value and with the time."""


def is_cordoned(node: Object | None) -> bool:
    """Whether a node is there and takes no new pods."""
    return bool(((node or {}).get("spec") or {}).get("unschedulable"))


def last_cordon(nodes: Iterable[Object]) -> datetime | None:
    """Return when the last of the cordoned nodes was cordoned, where the node controller says so."""
    taints = (taint for node in nodes if is_cordoned(node) for taint in node["spec"].get("taints") or ())
    times = (taint.get("timeAdded") for taint in taints if taint["key"] == TAINT["key"])
    return max((parse_time(time) for time in times if time), default=None)


def tolerates_cordon(toleration: Object) -> bool:
    """Whether the scheduler binds pods with a toleration to cordoned nodes (k8s.io/api, ``ToleratesTaint``)."""
    other_value = toleration.get("operator") != "Exists" and toleration.get("value")
    return not other_value and all((toleration.get(name) or value) == value for name, value in TAINT.items())
