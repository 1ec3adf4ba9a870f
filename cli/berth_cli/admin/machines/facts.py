"""Facts about one machine, read from the cluster. A fact that the caller may not read is ``Unseen``."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from berth_cli.admin.deployments.lookup import deployment_named
from berth_cli.admin.doctor.facts import PROCESSES, Unseen, environment, every, observed, one_of, words, workspaces_of
from berth_cli.admin.doctor.validation import NETWORK_POLICIES
from berth_cli.ui.reading import readable
from berth_core import names
from berth_core.firewall import Endpoints, Network, parse_source
from berth_core.firewall.nodes import networks_of
from berth_core.kube.client import Client
from berth_core.kube.types import Kind, Object
from berth_core.machines.placement import Grounds
from berth_core.machines.sharing import Claimant, claimant
from berth_core.resources import Instance, Resource, WorkspaceDeployment, WorkspaceType

R = TypeVar("R", bound=Resource)

NODES: Final = Kind("v1", "nodes", namespaced=False)
MACHINES, BLOCKED, RESOLVERS = "BERTH_MACHINE_CIDRS", "BERTH_BLOCKED_CIDRS", "BERTH_RESOLVERS"


@dataclass(frozen=True)
class Lent:
    """A machine and its holder."""

    wd: WorkspaceDeployment
    instance: Instance | None
    """The instance that has its lease; None where nobody has it, or it is gone."""


@dataclass(frozen=True)
class Facts:
    """All that the promises about a machine depend on."""

    lent: Lent
    type: WorkspaceType | Unseen | None
    grounds: Grounds | Unseen
    """Of the operator's environment; the cluster's own networks, which it looks up, are not in it."""
    others: Sequence[Claimant] | Unseen
    """Other deployments and leases of the release."""
    policies: Sequence[Object] | Unseen
    """NetworkPolicies of the workspace namespaces."""
    cluster: Sequence[Network] | Unseen
    """Addresses of nodes, and of pods where the cluster assigns them."""

    @property
    def endpoints(self) -> list[Endpoints]:
        """Endpoints that the spec names, and those of the present lease, which may differ."""
        instance = self.lent.instance
        machines = (self.lent.wd.network, instance.network if instance is not None else None)
        return list(dict.fromkeys(one.reached() for one in machines if one is not None))

    def is_of_the_lease(self, policy: Object) -> bool:
        """Whether a NetworkPolicy belongs to the present lease."""
        wd, metadata = self.lent.wd, policy["metadata"]
        if wd.status.lease is None or metadata["namespace"] != wd.metadata.namespace:
            return False
        labels = names.epoch_labels(wd.status.epoch, wd.metadata.name)
        return labels.items() <= (metadata.get("labels") or {}).items()


async def look(client: Client, namespace: str, word: str) -> Lent:
    """Read a deployment (name or id) and the instance that has its lease. Raises CliError."""
    wd = await deployment_named(client, namespace, word)
    instances = await _all(client, Instance, [namespace]) if wd.status.lease is not None else []
    return Lent(wd, _holder(wd, instances))


async def gather(client: Client, release: str, namespace: str, word: str) -> Facts:
    """Read all facts about a deployment (name or id). Raises CliError."""
    wd = await deployment_named(client, namespace, word)
    where = sorted({namespace, *await workspaces_of(client, release)})
    instances = await observed(_all(client, Instance, where))
    deployments = await observed(_all(client, WorkspaceDeployment, where))
    types = await observed(_all(client, WorkspaceType, [namespace]))
    nodes = await observed(every(client, NODES, [None]))
    kinds = types if isinstance(types, Unseen) else [one for one in types if one.spec.type_name == wd.spec.type]
    unseen = next((one for one in (deployments, instances) if isinstance(one, Unseen)), None)
    return Facts(
        lent=Lent(wd, None if isinstance(instances, Unseen) else _holder(wd, instances)),
        type=kinds if isinstance(kinds, Unseen) else next(iter(kinds), None),
        grounds=await observed(_grounds(client, release)),
        others=unseen or list(claimants(wd, _seen(deployments), _seen(instances))),
        policies=await observed(every(client, NETWORK_POLICIES, where)),
        cluster=nodes if isinstance(nodes, Unseen) else [one for node in nodes for one in networks_of(node)],
    )


def grounds_of(variables: dict[str, str]) -> Grounds:
    """Return the networks that decide where machines may stand, by the operator's environment. Pure."""
    read = {
        name: tuple(parse_source(one) for one in words(variables.get(name, "")))
        for name in (MACHINES, BLOCKED, RESOLVERS)
    }
    return Grounds(read[MACHINES], read[BLOCKED], read[RESOLVERS])


def claimants(
    wd: WorkspaceDeployment, deployments: Iterable[WorkspaceDeployment], instances: Iterable[Instance]
) -> Iterator[Claimant]:
    """Yield what others than a deployment name and hold of machines. Pure."""
    by_name = {(one.metadata.namespace, one.metadata.name): one for one in deployments}
    for other in by_name.values():
        if other.metadata.uid != wd.metadata.uid and (claims := claimant(other)).named is not None:
            yield claims
    for instance in instances:
        of, name = instance.metadata, instance.status.deployment or ""
        if instance.network is None or instance.status.end_time is not None:
            continue
        bound = by_name.get((of.namespace, name))
        # Of a deployment that is gone, the pod may run all the same.
        if bound is None or (bound.metadata.uid != wd.metadata.uid and _has(bound, instance)):
            yield Claimant(of.namespace, name, of.uid, of.creation_timestamp, held=instance.network.reached())


def _has(wd: WorkspaceDeployment, instance: Instance) -> bool:
    """Whether an instance has the lease of a deployment."""
    lease = wd.status.lease
    return lease is not None and (lease.instance, wd.status.epoch) == (instance.public_id, instance.status.epoch)


def _holder(wd: WorkspaceDeployment, instances: Iterable[Instance]) -> Instance | None:
    inside = (one for one in instances if one.metadata.namespace == wd.metadata.namespace)
    return next((one for one in inside if _has(wd, one) and one.status.end_time is None), None)


def _seen(objects: Sequence[R] | Unseen) -> Sequence[R]:
    return () if isinstance(objects, Unseen) else objects


async def _all(client: Client, kind: type[R], namespaces: Sequence[str]) -> list[R]:
    return readable(kind, await every(client, kind.api(), namespaces))


async def _grounds(client: Client, release: str) -> Grounds | Unseen:
    process = await one_of(client, PROCESSES, release, "berth-operator")
    if process is None:
        return Unseen(f"there is no berth-operator in namespace {release}, whose environment has the networks")
    return grounds_of(environment(process, "operator"))
