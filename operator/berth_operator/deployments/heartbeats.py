"""Notes when the Leases of machines were last seen renewed, on this process's monotonic clock.

A renewal is noted as its event comes, and costs no pass. A pass over the deployment comes when silence would take it
offline, or while it is not online. The time that a machine writes for a renewal is compared with the one that it wrote
before, and with no clock.
"""

import time
from dataclasses import dataclass, field

from berth_core.kube.types import Object
from berth_operator.deployments.online import Beat, limit_of


@dataclass
class _Seen:
    version: int
    renewal: str
    at: float
    heard: bool = False
    silent: bool = True
    """The last pass found it silent, or there was none yet: the next renewal brings one."""


@dataclass
class Heartbeats:
    """Heartbeats of all deployments, by namespace and name."""

    _by_name: dict[tuple[str, str], _Seen] = field(default_factory=dict)

    def note(self, lease: Object) -> bool:
        """Take note of a Lease as it came; whether its deployment needs a pass now."""
        key = lease["metadata"]["namespace"], lease["metadata"]["name"]
        version, renewal = _read(lease)
        record = self._by_name.get(key)
        if record is None:
            self._by_name[key] = _Seen(version, renewal, time.monotonic())
            return True
        # A late event is no sign of life: the machine may have died since.
        if version <= record.version or renewal == record.renewal:
            return False
        record.version, record.renewal, record.at, record.heard = version, renewal, time.monotonic(), True
        return record.silent

    def beat(self, lease: Object, heard_for: float) -> Beat:
        """Heartbeat by a Lease; ``heard_for`` is for how many seconds the cluster has answered without a break."""
        self.note(lease)
        record = self._by_name[lease["metadata"]["namespace"], lease["metadata"]["name"]]
        age = time.monotonic() - record.at
        limit = limit_of((lease.get("spec") or {}).get("leaseDurationSeconds"))
        record.silent = not record.heard or age >= limit
        return Beat(record.heard, age, min(age, heard_for), limit)

    def forget(self, namespace: str, name: str) -> None:
        """Drop what is known of a Lease that is gone."""
        self._by_name.pop((namespace, name), None)


def _read(lease: Object) -> tuple[int, str]:
    return int(lease["metadata"]["resourceVersion"]), str((lease.get("spec") or {}).get("renewTime") or "")
