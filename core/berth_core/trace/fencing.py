"""Checks which pods may run, by the lease and by the order of the writes that open it (I2). Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

Name = tuple[str, str]
"""Namespace and name."""
Fields = Mapping[str, Any]


def can_run(now: Mapping[str, Mapping[Name, Fields]], namespace: str, pod: Fields) -> bool:
    """Whether a container runs, or the kubelet can still start one: all Secrets that the pod mounts are there."""
    if pod["over"]:
        return False
    return bool(pod["running"]) or (bool(pod["mounts"]) and all_there(now, namespace, pod["mounts"]))


def all_there(now: Mapping[str, Mapping[Name, Fields]], namespace: str, secrets: Iterable[str]) -> bool:
    """Whether all these Secrets are there."""
    there = now.get("secrets", {})
    return all((namespace, name) in there for name in secrets)


def unfenced(deployment: Fields | None, pod: Fields) -> str:
    """Why a pod that can run is outside of its lease; empty where it is inside."""
    if deployment is None:
        return "there is no such deployment"
    lease, epoch = deployment["lease"], deployment["epoch"]
    if pod["warm"] and lease is None:
        if pod["instance"] is None and pod["epoch"] == epoch + 1:
            return ""
        return f"it was kept warm for epoch {pod['epoch']}, and epoch {epoch} is over"
    if lease is None:
        return "nobody has the lease"
    if pod["epoch"] != epoch:
        return f"it is of epoch {pod['epoch']}, and the lease of epoch {epoch}"
    if pod["instance"] != lease["instance"] and not (pod["warm"] and pod["instance"] is None):
        return f"it is of {pod['instance']}, and {lease['instance']} has the lease"
    return ""


def unordered(pod: Fields, instance: Fields) -> str:
    """Why an instance's pod came before its prerequisites; instances of earlier versions have no nonce."""
    nonce = instance["nonce"]
    if nonce is not None:
        if any(f"-{nonce}" in name for name in pod["mounts"]):
            return ""
        return f"it mounts {', '.join(pod['mounts'])}, and the nonce of the lease is {nonce}"
    base = f"i-{pod['instance']}-e{pod['epoch']}"
    plain = all(name in (base, f"{base}-agent", f"{base}-vpn") for name in pod["mounts"])
    return "" if plain or instance["epoch"] is not None else "it is not Bound"


def warm_unordered(pod: Fields, written: Iterable[tuple[int, str]]) -> str:
    """Same check for a warm pod; ``written`` are epochs and nonces that the deployment's status has had."""
    plain = all(name.endswith((f"-e{pod['epoch']}", f"-e{pod['epoch']}-agent")) for name in pod["mounts"])
    named = any(
        epoch == pod["epoch"] and any(f"-{nonce}" in name for name in pod["mounts"]) for epoch, nonce in written
    )
    return "" if plain or named else "the nonce of its Secret was never written to the deployment's status"
