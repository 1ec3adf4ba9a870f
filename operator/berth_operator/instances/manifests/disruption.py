"""The PodDisruptionBudget of a lease: drains wait until the lease is over."""

from berth_core.kube.types import Object
from berth_operator.instances.manifests.common import LeaseParts


def budget(lease: LeaseParts) -> Object:
    """Manifest; maxUnavailable would not work for a pod without a controller."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": lease.metadata(lease.name),
        "spec": {"minAvailable": 1, "selector": {"matchLabels": lease.selector}},
    }
