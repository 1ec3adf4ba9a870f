"""ResourceSlices of this node: how devices are written, and which writes bring the cluster there. Pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from berth_core import names
from berth_core.kube.types import Object
from berth_devices.discovery.inventory import Device

IN_ONE_SLICE: Final = 64
"""Devices in a ResourceSlice that has taints, at most (resource.k8s.io/v1, ResourceSliceSpec)."""
UNPLUGGED: Final = f"{names.DEVICE_DRIVER}/unplugged"
"""Key of the taint on a device that is known and not there."""
WITHHELD: Final = f"{names.DEVICE_DRIVER}/withheld"
"""Key of the taint on a device that is there, with a number that a container of another device may open."""
SLICES_LABEL: Final = "berth.dev/slices-of"
"""On ResourceSlices of the driver: digest of the node's name, for a watch of the node's own."""
LONGEST_NODE: Final = 200


@dataclass(frozen=True)
class Pool:
    """The pool of a node: its name is the node's."""

    node: str
    node_uid: str
    api_version: str
    """Of its slices: resource.k8s.io/v1 or v1beta1."""

    def slice_name(self, number: int) -> str:
        """Name of one of the slices."""
        node = self.node if len(self.node) <= LONGEST_NODE else f"{self.node[: LONGEST_NODE - 20]}x{digest(self.node)}"
        return f"{node}-{names.DEVICE_DRIVER}-{number}"


def labels(node: str) -> dict[str, str]:
    """Return the labels of a node's slices."""
    return {SLICES_LABEL: digest(node)}


@dataclass(frozen=True)
class Writes:
    """Writes that bring a pool where it should be."""

    apply: tuple[Object, ...] = ()
    delete: tuple[str, ...] = ()
    """Names of slices."""


def decide(pool: Pool, devices: Sequence[Device], current: Iterable[Object], written: int) -> Writes:
    """Return the writes; none where the current slices say what they should.

    Any change gives every slice of the pool the next generation, above ``written``, the last one that this process
    gave. Schedulers use a pool only once all slices of its newest generation are there, so they never see a mixture.
    """
    existing = {str(one["metadata"]["name"]): one for one in current}
    pieces = [devices[start : start + IN_ONE_SLICE] for start in range(0, len(devices), IN_ONE_SLICE)] or [[]]
    newest = max([written, *(_generation(one) for one in existing.values())])
    same = _slices(pool, pieces, newest)
    if len(same) == len(existing) and all(_says(existing.get(one["metadata"]["name"]), one) for one in same):
        return Writes()
    apply = _slices(pool, pieces, newest + 1)
    wanted = {one["metadata"]["name"] for one in apply}
    return Writes(tuple(apply), tuple(sorted(existing.keys() - wanted)))


def _slices(pool: Pool, pieces: Sequence[Sequence[Device]], generation: int) -> list[Object]:
    return [
        {
            "apiVersion": pool.api_version,
            "kind": "ResourceSlice",
            "metadata": {
                "name": pool.slice_name(number),
                "labels": labels(pool.node),
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Node", "name": pool.node, "uid": pool.node_uid, "controller": True}
                ],
            },
            "spec": {
                "driver": names.DEVICE_DRIVER,
                "nodeName": pool.node,
                "pool": {"name": pool.node, "generation": generation, "resourceSliceCount": len(pieces)},
                "devices": [written_as(device, pool.api_version) for device in piece],
            },
        }
        for number, piece in enumerate(pieces)
    ]


def trial(pool: Pool, device: Device) -> Object:
    """Return a slice with one device, for a dry run that shows what the API server keeps of it."""
    (body,) = _slices(pool, [[device]], 1)
    return {**body, "metadata": {"generateName": f"{names.DEVICE_DRIVER}-trial-"}}


def written_as(device: Device, api_version: str) -> dict[str, Any]:
    """Return a device as a ResourceSlice of a version of the API has it."""
    parts: dict[str, Any] = {"attributes": {name: {"string": value} for name, value in device.attributes.items()}}
    if not device.present:
        parts["taints"] = [{"key": WITHHELD if device.withheld else UNPLUGGED, "effect": "NoSchedule"}]
    return {"name": device.name, **({"basic": parts} if api_version.endswith("/v1beta1") else parts)}


def _says(existing: Mapping[str, Any] | None, wanted: Mapping[str, Any]) -> bool:
    """Whether a slice has the spec that it should, but for what the API server adds."""
    if existing is None:
        return False
    spec = existing["spec"]
    devices = [_without_times(device) for device in spec.get("devices") or ()]
    return bool({**spec, "devices": devices} == wanted["spec"])


def _without_times(device: Mapping[str, Any]) -> dict[str, Any]:
    if "basic" in device:
        return {**device, "basic": _without_times(device["basic"])}
    if "taints" not in device:
        return dict(device)
    taints = [{key: value for key, value in taint.items() if key != "timeAdded"} for taint in device["taints"]]
    return {**device, "taints": taints}


def _generation(one: Mapping[str, Any]) -> int:
    return int(one["spec"]["pool"].get("generation") or 0)


def has_taints(written: Mapping[str, Any]) -> bool:
    """Whether a device that the API server answers with, as it was written by :func:`written_as`, has its taint."""
    return bool((written.get("basic") or written).get("taints"))


def digest(text: str) -> str:
    """Return 16 hexadecimal digits that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
