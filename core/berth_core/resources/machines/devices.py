"""Devices of a machine that Dynamic Resource Allocation gives."""

from pydantic import Field

from berth_core.kube.model import Model
from berth_core.resources.base import Rule


class CelSelector(Model):
    """A CEL expression over one device."""

    expression: str = Field(
        description="Expression that is true for the device, as in a ResourceClaim. Berth proves absence and ambiguity"
        " of devices where it is made of equalities that are joined by &&: of device.driver and of attributes.",
        min_length=1,
        max_length=4096,
    )


class DeviceSelector(Model):
    """A condition on a device."""

    cel: CelSelector = Field(description="CEL expression over the device.")


class MachineDevice(Model):
    """A device that Dynamic Resource Allocation gives."""

    name: str = Field(
        description="Name of the device within the machine.", pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=32
    )
    device_class_name: str = Field(
        description="DeviceClass of the device (`kubectl get deviceclasses`). It has the label berth.dev/machines,"
        " so that nobody but Berth claims its devices.",
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        max_length=253,
    )
    selectors: list[DeviceSelector] = Field(
        default_factory=list,
        description="Conditions on the device beside those of its class; all must hold, and for one device only.",
        max_length=8,
    )


def device_rules(at: str) -> tuple[Rule, ...]:
    """Rules of a list of MachineDevices at a path in a resource."""
    message = f"{at}: give each device a name of its own"
    return (Rule(at=at, rule="self.all(d, self.exists_one(other, other.name == d.name))", message=message),)
