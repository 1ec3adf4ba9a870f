"""Epochs in the labels of objects: remains of leases and warm pods show which epochs were used. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from berth_core import names
from berth_core.kube.types import Object

HIGHEST: Final = 2**53
"""Greatest epoch that is accepted: some readers of JSON round larger numbers."""


class Trace(NamedTuple):
    """A pod, Service, Secret or Job that was made for an epoch of a deployment."""

    deployment: str
    epoch: int
    instance: str
    """Public id of its instance; empty for warm objects, also while somebody has them (ADR 0013)."""
    created: str
    name: str
    owners: frozenset[str]
    """Uids of its owners."""


def traces(objects: Iterable[Object]) -> list[Trace]:
    """Read the traces in the metadata of objects; objects without sound labels are left out."""
    result = []
    for metadata in (obj["metadata"] for obj in objects):
        labels = metadata.get("labels") or {}
        instance = labels.get(names.INSTANCE_LABEL) or ""
        owners = frozenset(owner["uid"] for owner in metadata.get("ownerReferences") or ())
        name, epoch = labels.get(names.DEPLOYMENT_LABEL), epoch_of(labels)
        if name and epoch is not None:
            created = metadata.get("creationTimestamp", "")
            result.append(Trace(name, epoch, instance, created, metadata.get("name", ""), owners))
    return result


def epoch_of(labels: Mapping[str, str]) -> int | None:
    """Epoch in labels; None where it is missing or malformed: anybody can make such an object."""
    label = labels.get(names.EPOCH_LABEL) or ""
    sound = label.isascii() and label.isdigit() and 1 <= int(label) <= HIGHEST
    return int(label) if sound else None
