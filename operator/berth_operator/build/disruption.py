"""The PodDisruptionBudget of a lease: drains wait until the lease is over."""

from berth_core import names
from berth_core.client import Object
from berth_operator.build.common import LeaseParts


def budget(lease: LeaseParts) -> Object:
    """Manifest; maxUnavailable would not work for a pod without a controller."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": lease.metadata(names.instance_object(lease.id)),
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {names.INSTANCE_LABEL: lease.id}}},
    }
