"""Devices that drivers offer in ResourceSlices, and which of them a machine names (ADR 0056). Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from berth_core.kube.types import Object
from berth_core.machines.placement import Fault
from berth_core.machines.selectors import Equality, Literal, Selection, read
from berth_core.resources.machines.devices import MachineDevice

FOUND: Final = "DevicesFound"
"""Condition of a deployment with devices, and its reason where each was found."""
MISSING: Final = "DeviceMissing"
AMBIGUOUS: Final = "DeviceAmbiguous"
AWAITED: Final = "DeviceAwaited"
NOT_PROVEN: Final = "NotProven"
FAULTS: Final = frozenset({MISSING, AMBIGUOUS, AWAITED})
"""Reasons of the condition Online that speak of ``spec.machine.devices``."""
SHUTTING: Final = frozenset({"NoSchedule", "NoExecute"})
"""Effects of taints that keep claims without a toleration, such as Berth's, from a device."""
LONGEST_SELECTOR: Final = 200
MOST_NAMED: Final = 3


class Device(NamedTuple):
    """A device of a driver."""

    driver: str
    pool: str
    name: str
    attributes: Mapping[tuple[str, str], Literal | None]
    """By domain and name; None for values that are not compared here, such as versions."""
    taint: str = ""
    """A taint that keeps claims from it; empty for none."""

    @property
    def place(self) -> str:
        """Name of it that people find in ResourceSlices."""
        return f"{self.driver}/{self.pool}/{self.name}"


@dataclass(frozen=True)
class Offer:
    """All devices of one driver."""

    devices: tuple[Device, ...] = ()
    complete: bool = True
    """False while the driver rewrites a pool: some of its devices may not be shown."""
    by_value: Mapping[tuple[str, str, Literal], Sequence[Device]] = field(default_factory=dict)
    """Devices by domain, name and value of an attribute."""

    def candidates(self, selection: Selection) -> Sequence[Device]:
        """Return devices among which are all that fit."""
        for one in selection.equalities:
            if one.domain and one.default != one.value:
                exact = self.by_value.get((one.domain, one.name, one.value), ())
                unread = self.by_value.get((one.domain, one.name, _UNREAD), ())
                return [*exact, *unread]
        return self.devices


class Sight(NamedTuple):
    """Devices of a machine as slices show them: reason and message of a condition."""

    reason: str
    message: str

    @property
    def fault(self) -> Fault | None:
        """Why the machine is not lent; None where it may be."""
        return Fault(*self) if self.reason in FAULTS else None


_UNREAD: Final = "\0unread"


def offer(slices: Iterable[Object]) -> Offer:
    """Return what the ResourceSlices of one driver offer: of each pool its newest generation."""
    pools: dict[str, list[Object]] = {}
    for one in slices:
        pools.setdefault(one["spec"]["pool"]["name"], []).append(one)
    devices: list[Device] = []
    complete = True
    for pool, members in pools.items():
        newest = max(_generation(one) for one in members)
        current = [one for one in members if _generation(one) == newest]
        complete = complete and len(current) == current[0]["spec"]["pool"]["resourceSliceCount"]
        devices += [_device(one["spec"]["driver"], pool, entry) for one in current for entry in _entries(one)]
    by_value: dict[tuple[str, str, Literal], list[Device]] = {}
    for device in devices:
        for (domain, name), value in device.attributes.items():
            by_value.setdefault((domain, name, _UNREAD if value is None else value), []).append(device)
    return Offer(tuple(devices), complete, by_value)


def selection_of(device: MachineDevice, device_class: Object) -> Selection:
    """Return the part that is read of a device's selectors and of its class's."""
    expressions = [one.get("cel", {}).get("expression", "") for one in device_class["spec"].get("selectors") or ()]
    expressions += [selector.cel.expression for selector in device.selectors]
    return sum(map(read, expressions), Selection())


def sight(device: MachineDevice, selection: Selection, offered: Offer) -> Sight:
    """Return what an offer of its driver proves of a device of a machine."""
    verdicts = [(one, fits(one, selection)) for one in offered.candidates(selection)]
    possible = [one for one, verdict in verdicts if verdict is not False]
    certain = [one for one, verdict in verdicts if verdict]
    free = [one for one in possible if not one.taint]
    if not possible:
        return Sight(MISSING, f"no driver offers {described(device)}: plug it in, or correct spec.machine.devices")
    if len(certain) > 1:
        return Sight(
            AMBIGUOUS,
            f"{len(certain)} devices fit {described(device)}, {_some(certain)}: select one alone in"
            " spec.machine.devices, such as by its serial number",
        )
    if not free:
        return Sight(
            MISSING, f"{described(device)} is out of order, by the taint {possible[0].taint} of {possible[0].place}"
        )
    if len(possible) == 1 and certain:
        return Sight(FOUND, f"{device.name} is {certain[0].place}")
    return Sight(
        NOT_PROVEN,
        f"by the part of its selectors that Berth reads, {device.name} may be {_some(possible)}: which one it is, and"
        " whether it is one alone, shows when a lease starts",
    )


def fits(device: Device, selection: Selection) -> bool | None:
    """Whether a device fits; None where the part of the selectors that was read does not tell."""
    verdicts = [_holds(one, device) for one in selection.equalities]
    if False in verdicts:
        return False
    return None if None in verdicts or not selection.whole else True


def described(device: MachineDevice) -> str:
    """Name a device of a machine by its class and selectors."""
    selectors = " and ".join(_cut(selector.cel.expression) for selector in device.selectors)
    return f"the device {device.name} (class {device.device_class_name}{f', {selectors}' if selectors else ''})"


def not_given(devices: Sequence[MachineDevice], told: str) -> str:
    """Say why a lease failed whose pod got no node, in the scheduler's words, and which devices it waited for."""
    return (
        f"no node can run the pod and give it {' and '.join(map(described, devices))}: {told or 'nothing was said'};"
        " plug the device in, or correct spec.machine.devices of the deployment"
    )


def joined(sights: Sequence[Sight]) -> Sight:
    """Return one verdict on all devices of a machine: the first fault, or else what is not proven."""
    for reason in (MISSING, AMBIGUOUS, AWAITED, NOT_PROVEN):
        for one in sights:
            if one.reason == reason:
                return one
    return Sight(FOUND, "; ".join(one.message for one in sights))


def _some(devices: Sequence[Device]) -> str:
    """Name some of several devices."""
    places = sorted(one.place for one in devices)
    more = f" or one of {len(places) - MOST_NAMED} more" if len(places) > MOST_NAMED else ""
    return f"{' or '.join(places[:MOST_NAMED])}{more}"


def _holds(one: Equality, device: Device) -> bool | None:
    if not one.domain:
        return device.driver == one.value
    key = one.domain, one.name
    if key not in device.attributes:
        return one.default is not None and _same(one.default, one.value)
    value = device.attributes[key]
    return None if value is None else _same(value, one.value)


def _same(one: Literal, other: Literal) -> bool:
    return type(one) is type(other) and one == other


def _generation(one: Object) -> int:
    return int(one["spec"]["pool"]["generation"])


def _entries(one: Object) -> Iterator[Object]:
    yield from one["spec"].get("devices") or ()


def _device(driver: str, pool: str, entry: Object) -> Device:
    attributes: dict[tuple[str, str], Literal | None] = {}
    for qualified, value in (entry.get("attributes") or {}).items():
        domain, _, name = qualified.rpartition("/")
        attributes[domain or driver, name] = _literal(value)
    taints = (one for one in entry.get("taints") or () if one.get("effect") in SHUTTING)
    taint = next((f"{one['key']}={one.get('value') or ''}:{one['effect']}" for one in taints), "")
    return Device(driver, pool, str(entry["name"]), attributes, taint)


def _literal(value: Mapping[str, Any]) -> Literal | None:
    plain: list[Literal] = [value[kind] for kind in ("string", "int", "bool") if kind in value]
    return plain[0] if len(plain) == 1 else None


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SELECTOR else f"{text[:LONGEST_SELECTOR]}..."
