"""ResourceClaims for the devices of a lease's machine, and how its pods name them (ADR 0056)."""

from berth_core import names
from berth_core.kube.types import Object
from berth_core.resources.machines.devices import MachineDevice
from berth_operator.instances.manifests.common import LeaseParts


def claims(lease: LeaseParts) -> list[Object]:
    """Manifests of all claims of a lease: each for exactly one device, in the lease's name."""
    return [_claim(lease, device) for device in lease.devices]


def of_pod(lease: LeaseParts) -> list[Object]:
    """Entries of a pod's ``resourceClaims``: workspace and hooks have the same claims, one after the other."""
    return [
        {"name": name_in_pod(device), "resourceClaimName": names.claim_object(lease.id, lease.epoch, device.name)}
        for device in lease.devices
    ]


def name_in_pod(device: MachineDevice) -> str:
    """Name of a device's claim within a pod; claims of the type's template have names of the template's choice."""
    return f"berth-{device.name}"


def _claim(lease: LeaseParts, device: MachineDevice) -> Object:
    exactly: Object = {
        "deviceClassName": device.device_class_name,
        "selectors": [selector.wire() for selector in device.selectors],
        "allocationMode": "ExactCount",
        "count": 1,
    }
    return {
        "apiVersion": "resource.k8s.io/v1",
        "kind": "ResourceClaim",
        "metadata": lease.metadata(names.claim_object(lease.id, lease.epoch, device.name)),
        "spec": {"devices": {"requests": [{"name": device.name, "exactly": exactly}]}},
    }
