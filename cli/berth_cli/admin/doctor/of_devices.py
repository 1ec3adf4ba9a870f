"""Checks whether devices of machines can be claimed, and by leases alone. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from berth_cli.admin.doctor.facts import Facts, Unseen
from berth_cli.admin.doctor.findings import Finding, Level, unseen
from berth_core import names
from berth_core.kube.types import Object


def classes(facts: Facts) -> Iterator[Finding]:
    """Deployments name DeviceClasses that are there and whose devices nobody else claims."""
    check = "device classes"
    if isinstance(facts.deployments, Unseen):
        yield unseen(check, facts.deployments)
        return
    named: dict[str, list[str]] = {}
    for wd in facts.deployments:
        for device in wd.devices if wd.spec.dissolved is None else ():
            named.setdefault(device.device_class_name, []).append(wd.metadata.name)
    if not named:
        yield Finding(check, Level.OK, "no deployment has devices")
        return
    if isinstance(facts.device_classes, Unseen):
        yield unseen(check, facts.device_classes)
        return
    known = {one["metadata"]["name"]: one for one in facts.device_classes}
    found = list(_of_classes(check, named, known))
    yield from found or [Finding(check, Level.OK, f"{len(named)}, whose devices nobody but Berth claims")]


def _of_classes(check: str, named: Mapping[str, Sequence[str]], known: Mapping[str, Object]) -> Iterator[Finding]:
    for name, deployments in sorted(named.items()):
        of = f"DeviceClass {name}, which {', '.join(sorted(set(deployments))[:3])} names,"
        device_class = known.get(name)
        if device_class is None:
            mend = (
                "install its driver, or correct spec.machine.devices: `kubectl get deviceclasses` lists those that are"
            )
            yield Finding(check, Level.FAILED, f"{of} is not there", f"{mend} there")
            continue
        if names.MACHINES_LABEL not in (device_class["metadata"].get("labels") or {}):
            mend = f"kubectl label deviceclass {name} {names.MACHINES_LABEL}="
            yield Finding(check, Level.WARNING, f"{of} has no label: others may claim its devices", mend)
        if device_class["spec"].get("extendedResourceName"):
            mend = "take spec.extendedResourceName from the DeviceClass: pods that ask for it wait in vain"
            yield Finding(check, Level.WARNING, f"{of} has an extended resource's name", mend)
