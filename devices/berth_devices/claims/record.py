"""A prepared claim, and how it comes from a ResourceClaim's allocation. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from berth_core import names
from berth_devices.discovery.facts import Number
from berth_devices.discovery.inventory import Device


class ClaimError(Exception):
    """The claim cannot be prepared; the message says why and what to do. The kubelet makes an event of it."""


@dataclass(frozen=True)
class Allocated:
    """One device that the scheduler gave to a request of a claim."""

    request: str
    """Name of the request, with its subrequest's where there is one: ``arm/usb``."""
    device: str
    numbers: tuple[Number, ...] = ()
    """Numbers under which containers of the claim got the device: they may open these until they end."""


@dataclass(frozen=True)
class Record:
    """A claim that was prepared here."""

    uid: str
    namespace: str
    name: str
    devices: tuple[Allocated, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the form in which it is kept."""
        return asdict(self)

    def given(self, devices: Mapping[str, Device]) -> Self:
        """Return the record with the numbers of now of its devices.

        Not those of pseudo terminals: a container has the terminal itself, and no other by its number.
        """
        return replace(self, devices=tuple(_with_number(one, devices.get(one.device)) for one in self.devices))

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Self:
        """Read that form. Raises KeyError, TypeError or ValueError for another one."""
        devices = tuple(
            Allocated(
                str(one["request"]),
                str(one["device"]),
                tuple(Number(int(number["major"]), int(number["minor"])) for number in one["numbers"]),
            )
            for one in saved["devices"]
        )
        return cls(str(saved["uid"]), str(saved["namespace"]), str(saved["name"]), devices)


def _with_number(one: Allocated, device: Device | None) -> Allocated:
    if device is None or not device.present or device.number.is_pty or device.number in one.numbers:
        return one
    return replace(one, numbers=(*one.numbers, device.number))


def given_numbers(records: Iterable[Record]) -> dict[Number, str]:
    """Return the numbers that claims were given, each with the name of the device that had it."""
    return {number: one.device for record in records for one in record.devices for number in one.numbers}


def allocated(claim: Mapping[str, Any], *, uid: str, pool: str) -> Record:
    """Return the record of a ResourceClaim as the API server has it (v1 or v1beta1, which agree here).

    Raises:
        ClaimError: it is another claim, or nothing of this node is allocated to it, or with adminAccess.

    """
    metadata = claim["metadata"]
    name = f"ResourceClaim {metadata['namespace']}/{metadata['name']}"
    if metadata["uid"] != uid:
        raise ClaimError(f"{name} was deleted and made anew: delete the pod, so that it gets the new one")
    allocation = (claim.get("status") or {}).get("allocation") or {}
    results = [
        one for one in (allocation.get("devices") or {}).get("results") or () if one["driver"] == names.DEVICE_DRIVER
    ]
    if not results:
        raise ClaimError(f"{name} has no allocated device of {names.DEVICE_DRIVER}: the scheduler allocates it")
    for one in results:
        if one["pool"] != pool:
            raise ClaimError(f"{name} has device {one['device']} of node {one['pool']}, and this is node {pool}")
        if one.get("adminAccess"):
            raise ClaimError(f"{name} asks for adminAccess: a device has one holder, so ask without it")
    devices = tuple(Allocated(str(one["request"]), str(one["device"])) for one in results)
    return Record(uid, str(metadata["namespace"]), str(metadata["name"]), devices)


def refuse_shared(wanted: Record, others: Iterable[Record]) -> None:
    """Raise ClaimError where a device of a claim is prepared for another claim, or twice for this one.

    The scheduler never allocates so. Where it did all the same, the first holder keeps the device.
    """
    holders = {one.device: other for other in others if other.uid != wanted.uid for one in other.devices}
    for one in wanted.devices:
        if (other := holders.get(one.device)) is not None:
            raise ClaimError(
                f"device {one.device} is in use by ResourceClaim {other.namespace}/{other.name} (uid {other.uid}) on"
                " this node: it is free once the pod with that claim has ended"
            )
    if len({one.device for one in wanted.devices}) < len(wanted.devices):
        raise ClaimError(f"ResourceClaim {wanted.namespace}/{wanted.name} has a device twice: make it anew")
