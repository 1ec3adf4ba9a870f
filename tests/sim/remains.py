"""I2: what a lease has opened is gone when it is given back. All that carries an epoch is known by that."""

import re
from typing import Final

from berth_core import names
from berth_core.kube.client import REQUEST_SECONDS
from berth_core.leases.protocol import LEADER

from .cluster import LAB, Cluster
from .wire import Commit, Request

FENCED: Final = ("pods", "secrets", "services", "jobs")
"""Kinds of which nothing of an epoch may be there when it is given back."""
NONCE: Final = re.compile(r"-([0-9a-f]{8})(-agent|-vpn)?$")


class Remains:
    """Objects of each epoch, and the nonces that were ever named."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._things: dict[tuple[str, int], dict[tuple[str, str], bool]] = {}
        """Objects of a deployment's epoch, by plural and name; whether it came late.

        An operator that does not lead any more made them; or they are warm for an epoch that had begun already; or they
        lacked a Secret from the start. A Service whose maker does not wait for the answer any more has no pod.
        """
        self._leader = ""
        """Name of the process that holds the leader's Lease."""
        self._nonces: set[str | None] = set()
        """All that a status has ever named."""

    def commit(self, commit: Commit) -> None:
        """Follow one commit."""
        obj, plural = commit.object, commit.plural
        if plural in FENCED:
            self._keep(commit)
        elif plural in ("instances", "builds"):
            status = obj.get("status") or {}
            self._nonces |= {status.get("nonce"), *(status.get("hookNonces") or {}).values()}
        elif plural == "workspacedeployments":
            self._nonces.add(((obj.get("status") or {}).get("warm") or {}).get("nonce"))
        elif plural == "leases" and obj["metadata"]["name"] == LEADER:
            holder = (obj.get("spec") or {}).get("holderIdentity") or ""
            self._leader = holder.rpartition("_")[0]

    def of(self, deployment: str, epoch: int) -> list[tuple[str, str]]:
        """Plurals and names of what may not be there when an epoch is given back.

        A late write may be there, but lacks a part without which it does not start (ADR 0024). A pod of which
        nothing is lacking counts all the same.
        """
        things = self._things.get((deployment, epoch), {})
        return sorted(
            thing for thing, late in things.items() if not (late or self._is_unused(*thing)) or self._can_start(*thing)
        )

    def _keep(self, commit: Commit) -> None:
        metadata = commit.object["metadata"]
        if commit.plural == "secrets" and commit.event == "ADDED":
            found = NONCE.search(metadata["name"])
            if found is not None and found[1] in self._nonces:
                self._cluster.violated("I2: a Secret that a status names was made again")
        labels = metadata.get("labels") or {}
        deployment, epoch = labels.get(names.DEPLOYMENT_LABEL), labels.get(names.EPOCH_LABEL)
        if not deployment or not epoch:
            return
        things = self._things.setdefault((deployment, int(epoch)), {})
        name = commit.plural, metadata["name"]
        if commit.event == "DELETED":
            things.pop(name, None)
        elif name not in things:
            maker = commit.request.sender if commit.request is not None else ""
            late = maker.startswith("operator-") and maker != self._leader
            late |= names.WARM_LABEL in labels and int(epoch) <= self._epoch_of(deployment)
            late |= commit.plural == "services" and self._nobody_waits(commit.request)
            late |= commit.plural in ("pods", "jobs") and not self._can_start(*name)
            things[name] = things.get(("jobs", labels.get("batch.kubernetes.io/job-name", "")), late)

    def _nobody_waits(self, request: Request | None) -> bool:
        return request is not None and self._cluster.world.now - request.sent > REQUEST_SECONDS

    def _epoch_of(self, deployment: str) -> int:
        found = self._cluster.store.find("workspacedeployments", LAB, deployment) or {}
        return int((found.get("status") or {}).get("epoch") or 0)

    def _is_unused(self, plural: str, name: str) -> bool:
        """Whether it is a Secret under a nonce that no status ever named: it came late, and no pod can mount it."""
        found = NONCE.search(name) if plural == "secrets" else None
        return found is not None and found[1] not in self._nonces

    def _can_start(self, plural: str, name: str) -> bool:
        """Whether it is a pod, or makes one, whose Secrets are there."""
        find = self._cluster.store.find
        spec = (find(plural, LAB, name) or {}).get("spec") or {}
        spec = spec["template"]["spec"] if plural == "jobs" else spec
        secrets = [volume["secret"]["secretName"] for volume in spec.get("volumes") or () if "secret" in volume]
        return plural in ("pods", "jobs") and all(find("secrets", LAB, secret) is not None for secret in secrets)
