"""Machines of owners: registered, changed and retired within what a MachineGrant permits (ADR 0053).

The chart's policies hold this process to the grants, too, and the operator lends no machine that its grant does not
cover. So what is decided here from a read that is a moment old is decided again.
"""

from dataclasses import dataclass
from typing import Any, Final

from berth_api import lookups
from berth_api.auth import access
from berth_api.auth.identity import Identity
from berth_api.cache.deployment import Deployment
from berth_api.deployments import service
from berth_api.http.errors import BadRequestError, FullError, MissingError, NotPermittedError, TakenError
from berth_api.idempotency.making import create
from berth_api.machines.schemas import ChangeRequest, RegistrationRequest
from berth_api.state import State
from berth_core import ids, names
from berth_core.kube import errors as cluster
from berth_core.kube.model import timestamp
from berth_core.kube.swap import swap
from berth_core.machines.grants import Wanted, commanding_probe, lack, stray_probe
from berth_core.machines.sharing import blocks, claimant
from berth_core.resources import MachineGrant, WorkspaceDeployment, WorkspaceDeploymentSpec, manifest
from berth_core.resources.machines.network import MachineNetwork
from berth_core.resources.workspacedeployment import Health

MOST_RETIRED: Final = 100
"""Retired machines of one grant that stay for their history; the operator deletes them after their retention."""
NO_GRANT: Final = (
    "no MachineGrant lets you register machines: ask an administrator for one (docs/how-to/lend/register.md)"
)


@dataclass(frozen=True)
class Registration:
    """A machine that was registered: its public id, and the name of its MachineGrant."""

    id: str
    grant: str


async def register(state: State, identity: Identity, options: RegistrationRequest) -> Registration:
    """Make a deployment of the caller's. Raises NotPermittedError, MissingError, TakenError, FullError."""
    access.need_machines(identity, options.type)
    machine = options.machine.spec()
    health = options.health.spec() if options.health is not None else None
    wanted = Wanted([identity.user], options.type, machine.network)
    grant = await _grant_for(state, wanted)
    _need_sound(health, machine.network)
    _need_unnamed(state, machine.network)
    spec = WorkspaceDeploymentSpec(
        type=options.type,
        type_version=options.type_version,
        region=options.region,
        description=options.desc,
        owners=[identity.user],
        health=health,
        maintenance=options.maintenance.spec() if options.maintenance is not None else None,
        machine=machine,
        grant=grant.metadata.name,
    )
    deployment_id = ids.uuid7_at(await state.now())
    labels = {names.MANAGED_BY_LABEL: names.MANAGED_BY} | identity.labels
    body = manifest(WorkspaceDeployment, grant.metadata.namespace, deployment_id, spec, labels=labels)
    try:
        await create(state.client, WorkspaceDeployment, body)
    except cluster.InvalidError as error:
        raise BadRequestError(error.message) from error
    return Registration(deployment_id, grant.metadata.name)


async def change(state: State, identity: Identity, deployment_id: str, options: ChangeRequest) -> Deployment:
    """Change a machine of the caller's; return it as it is then.

    Raises MissingError, NotPermittedError, BadRequestError, TakenError.
    """

    async def attempt() -> Deployment:
        deployment = await _changeable(state, identity, deployment_id)
        spec, changes = deployment.resource.spec, options.changes()
        if spec.dissolved is not None:
            raise BadRequestError(f"workspace deployment dissolved at {spec.dissolved}: register the machine anew")
        machine = options.machine.spec() if options.machine is not None else spec.machine
        network = machine.network if machine is not None else None
        if options.machine is not None:
            wanted = Wanted(spec.owners, spec.type, network)
            changes["grant"] = (await _grant_for(state, wanted, deployment)).metadata.name
            _need_unnamed(state, network, deployment.id)
        asked = options.health.spec() if options.health is not None else None
        if options.machine is not None or "health" in changes:
            _need_sound(asked, network, kept=spec.health if "health" not in changes else None)
        return await _patch(state, deployment, changes)

    return await swap(attempt, f"deployment {deployment_id}")


async def retire(state: State, identity: Identity, deployment_id: str) -> None:
    """Take a machine of the caller's away for good: nobody new gets it, and its holder keeps it until the lease ends.

    Repeating it changes nothing. Raises MissingError, NotPermittedError.
    """

    async def attempt() -> None:
        deployment = await _changeable(state, identity, deployment_id)
        if deployment.resource.spec.dissolved is None:
            await _patch(state, deployment, {"dissolved": timestamp(await state.now())})

    await swap(attempt, f"deployment {deployment_id}")


async def _changeable(state: State, identity: Identity, deployment_id: str) -> Deployment:
    access.need_unconstrained(identity)
    deployment = await service.existing(state, deployment_id)
    access.need_machines(identity, deployment.type)
    access.need_owner(identity, deployment)
    access.need_registered(deployment)
    return deployment


async def _patch(state: State, deployment: Deployment, changes: dict[str, Any]) -> Deployment:
    """Change a deployment where it is still as it was read."""
    metadata = deployment.resource.metadata
    body = {"metadata": {"uid": metadata.uid, "resourceVersion": metadata.resource_version}, "spec": changes}
    try:
        live = await state.client.patch(WorkspaceDeployment.api(), metadata.namespace, metadata.name, body)
    except cluster.NotFoundError as error:
        raise MissingError("no workspace deployment found with given ID") from error
    except cluster.InvalidError as error:
        raise BadRequestError(error.message) from error
    return Deployment.of(WorkspaceDeployment.parse(live))


async def _grant_for(state: State, wanted: Wanted, present: Deployment | None = None) -> MachineGrant:
    """Return a grant that covers a machine, and has room for it: the ``present`` one of the machine first.

    Raises NotPermittedError, MissingError, FullError.
    """
    namespaces = (present.namespace,) if present is not None else state.config.workspace_namespaces
    own = [
        grant
        for grant in await lookups.grants(state)
        if grant.metadata.namespace in namespaces and set(wanted.owners) & set(grant.spec.users)
    ]
    if not own:
        raise NotPermittedError(NO_GRANT)
    covering = [grant for grant in own if lack(grant, wanted) is None]
    if not covering:
        # A grant for the type says more than one for others.
        own.sort(key=lambda grant: wanted.type not in grant.spec.types)
        raise NotPermittedError(
            f"{lack(own[0], wanted)}: correct the request, or ask an administrator to extend the grant"
        )
    if present is not None:
        for grant in covering:
            if grant.metadata.name == present.resource.spec.grant:
                return grant
    covering = [grant for grant in covering if await _has_type(state, grant, wanted.type)]
    if not covering:
        raise MissingError("no workspace type found with given name")
    for grant in covering:
        registered = await lookups.granted(state, grant)
        if sum(not one.is_dissolved for one in registered) < grant.spec.deployments:
            if len(registered) >= grant.spec.deployments + MOST_RETIRED:
                raise FullError(
                    f"MachineGrant {grant.metadata.name} has {len(registered)} machines with those that were retired"
                    " lately: change one in place of retiring it, or ask an administrator to delete some"
                )
            return grant
    full = ", ".join(f"{grant.metadata.name} ({grant.spec.deployments})" for grant in covering[:4])
    raise FullError(f"as many machines are registered as MachineGrant {full} permits: retire one first")


async def _has_type(state: State, grant: MachineGrant, type_name: str) -> bool:
    kind = await lookups.type_named(state, grant.metadata.namespace, type_name, live=True)
    return kind is not None and not kind.spec.retired


def _need_sound(asked: Health | None, network: MachineNetwork | None, kept: Health | None = None) -> None:
    """Refuse a probe that is none of an owner's. One that is ``kept``, an administrator's perhaps, may have a path."""
    if network is not None and (why := stray_probe(asked or kept, network) or commanding_probe(asked)) is not None:
        raise BadRequestError(f"value for option `health` is wrong: {why}")


def _need_unnamed(state: State, network: MachineNetwork | None, but: str = "") -> None:
    """Refuse endpoints that another deployment may have, as lists show it; the operator lends only one of the two.

    The answer names no deployment: where a machine stands is for its owners.
    """
    if network is None:
        return
    state.caches.need_fresh()
    reached = network.reached()
    for block in sorted(set(blocks(network.addresses))):
        for other in state.caches.deployments.by("block", block):
            named = claimant(other.resource).named
            if other.id != but and named is not None and named.overlaps(reached):
                raise TakenError("another machine has some of these endpoints: give each machine its own")
