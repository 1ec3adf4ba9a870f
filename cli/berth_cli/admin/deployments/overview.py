"""Overview of deployments: free or held, by whom, until when. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from berth_core.kube.conditions import find
from berth_core.leases.availability import AVAILABLE
from berth_core.resources import Instance, WorkspaceDeployment


@dataclass(frozen=True)
class Row:
    """One deployment. Times are RFC 3339; ``address`` is ``host:port``; what does not apply is None."""

    deployment: str
    namespace: str
    id: str
    type: str
    region: str
    available: bool | None
    reason: str
    message: str
    holder: str | None
    instance: str | None
    since: str | None
    until: str | None
    address: str | None
    epoch: int

    def wire(self) -> dict[str, Any]:
        """As `--output json` and `yaml` print it."""
        return dict(vars(self))


def rows(deployments: Iterable[WorkspaceDeployment], instances: Iterable[Instance]) -> list[Row]:
    """Put deployments and their holders together, sorted by type and name."""
    by_id = {instance.public_id: instance for instance in instances}
    entries = [_row(wd, by_id) for wd in deployments]
    return sorted(entries, key=lambda row: (row.type, row.namespace, row.deployment))


def _until(wd: WorkspaceDeployment, instance: Instance | None) -> str | None:
    """End of the lease, or of the maintenance where there is no lease."""
    if wd.status.lease is not None:
        return instance.status.expire_time if instance else None
    return wd.maintenance.until if wd.maintenance is not None else None


def _row(wd: WorkspaceDeployment, instances: dict[str, Instance]) -> Row:
    lease = wd.status.lease
    instance = instances.get(lease.instance) if lease else None
    address = instance.status.address if instance else None
    available = find(wd.status.conditions, AVAILABLE)
    return Row(
        deployment=wd.metadata.name,
        namespace=wd.metadata.namespace,
        id=wd.public_id,
        type=wd.spec.type,
        region=wd.spec.region,
        available=available.status == "True" if available else None,
        reason=available.reason if available else "Unknown",
        message=available.message if available else "the operator has not looked at it yet",
        holder=lease.user if lease else None,
        instance=lease.instance if lease else None,
        since=lease.claimed_at if lease else None,
        until=_until(wd, instance),
        address=f"{address.ipv4}:{address.port}" if address else None,
        epoch=wd.status.epoch,
    )
