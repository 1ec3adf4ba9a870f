"""Summary of a pass over many objects: numbers, and some names. The objects themselves are not kept."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from berth_cli.admin.doctor import validation
from berth_core import state
from berth_core.kube.errors import UnreadableError
from berth_core.kube.types import Object
from berth_core.resources import Instance, Resource, WorkspaceDeployment, WorkspaceType

SHOWN: Final = 5
LONGEST: Final = 200
"""Characters kept of a name: before there were bounds, names and messages had up to a MiB."""


@dataclass
class Names:
    """How many there are, and the first of them."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count one more."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(name if len(name) <= LONGEST else f"{name[:LONGEST]}…")

    def __bool__(self) -> bool:
        return self.count > 0

    def __str__(self) -> str:
        return ", ".join(self.first) + (" …" if self.count > len(self.first) else "")


@dataclass
class Held:
    """Objects of Berth's kinds in the namespaces, and the workloads there.

    ``counts`` are by namespace and plural. ``unseen`` says why lists could not be read, by kind.
    """

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    unseen: dict[str, str] = field(default_factory=dict)
    unreadable: Names = field(default_factory=Names)
    foreign: Names = field(default_factory=Names)
    refused: Names = field(default_factory=Names)
    workloads: Names = field(default_factory=Names)
    """Workloads that are not Berth's."""
    openings: Names = field(default_factory=Names)
    """NetworkPolicies that are not Berth's and have rules."""
    types: list[WorkspaceType] = field(default_factory=list)
    deployments: list[WorkspaceDeployment] = field(default_factory=list)
    vpns: list[Instance] = field(default_factory=list)
    """Active instances with a VPN."""

    def take(self, kind: type[Resource], schema: Object, obj: Object) -> None:
        """Judge a resource. ``schema`` is its kind's (:func:`~berth_cli.admin.doctor.validation.schema_of`)."""
        metadata = obj["metadata"]
        name = f"{kind.KIND} {metadata['namespace']}/{metadata['name'][:80]}"
        self.counts[metadata["namespace"], kind.PLURAL] += 1
        if why := validation.foreign(kind.KIND, metadata):
            self.foreign.add(f"{name} ({why})")
        if paths := validation.refused(kind, schema, obj):
            self.refused.add(f"{name} ({', '.join(paths[:3])})")
        try:
            resource = kind.parse(obj)
        except UnreadableError as error:
            self.unreadable.add(f"{name} ({error.why})")
            return
        if isinstance(resource, WorkspaceType):
            self.types.append(resource)
        elif isinstance(resource, WorkspaceDeployment):
            self.deployments.append(resource)
        elif isinstance(resource, Instance) and resource.spec.vpn and state.is_active(resource):
            self.vpns.append(resource)

    def take_workload(self, what: str, metadata: Object) -> None:
        """Judge a workload."""
        if not validation.is_berths(metadata):
            self.workloads.add(f"{what} {metadata['namespace']}/{metadata['name']}")

    def take_policy(self, policy: Object) -> None:
        """Judge a NetworkPolicy."""
        if validation.opens(policy):
            self.openings.add(f"{policy['metadata']['namespace']}/{policy['metadata']['name']}")
