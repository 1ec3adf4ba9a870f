"""MachineGrants: whether they cover the machines that name them, and their status (ADR 0053)."""

from typing import Final, NamedTuple

from berth_core.kube.conditions import find
from berth_core.kube.types import Object
from berth_core.machines import grants
from berth_core.machines.placement import NOT_GRANTED, Fault
from berth_core.resources import MachineGrant, WorkspaceDeployment
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import TermState, World
from berth_operator.engine.writes import write_status
from berth_operator.kinds import DEPLOYMENT, DEPLOYMENTS, GRANT, GRANTS, TYPES
from berth_operator.machines.decide import grant_status

BY_GRANT: Final = "grant"
"""Index of deployments: the MachineGrant that each names."""
ONLINE: Final = "Online"


class Member(NamedTuple):
    """A deployment as its grant counts it."""

    grant: str
    uid: str
    counts: bool


class Members(dict[tuple[str, str], Member], TermState):
    """Deployments that name a grant, by namespace and name."""


def fault(world: World, wd: WorkspaceDeployment) -> Fault | None:
    """Return why a registered machine is not lent; None where its grant covers it, or it needs none."""
    name, metadata = wd.spec.grant, wd.metadata
    if name is None:
        return None
    age = metadata.creation_timestamp, metadata.uid
    others = world.cache[DEPLOYMENTS].by(BY_GRANT, name, metadata.namespace)
    older = sum(_counts(obj) and _age(obj) < age for obj in others if obj["metadata"]["uid"] != metadata.uid)
    obj = world.cache[GRANTS].get(metadata.namespace, name)
    return grants.fault(MachineGrant.parse(obj) if obj is not None else None, wd, older)


def note(world: World, obj: Object, *, gone: bool) -> None:
    """Wake the grants of a deployment where it comes or goes: the others in them may be lent from now on, or not."""
    members, metadata = world.state(Members), obj["metadata"]
    key, before = (metadata["namespace"], metadata["name"]), None
    before = members.pop(key, None)
    name = None if gone else obj["spec"].get("grant")
    now = Member(name, metadata["uid"], _counts(obj)) if name else None
    if now is not None:
        members[key] = now
    if now != before:
        for one in {member.grant for member in (before, now) if member is not None}:
            world.add(GRANT, metadata["namespace"], one)


async def reconcile_grant(world: World, key: Key) -> float | None:
    """Bring a grant's status up to date, and the deployments whose condition says otherwise than the grant."""
    named = world.cache[DEPLOYMENTS].by(BY_GRANT, key.name, key.namespace)
    for wd in map(WorkspaceDeployment.parse, named):
        online, verdict = find(wd.status.conditions, ONLINE), fault(world, wd)
        says = online.message if online is not None and online.reason == NOT_GRANTED else None
        if says != (verdict.message if verdict is not None else None):
            world.add(DEPLOYMENT, key.namespace, wd.metadata.name)
    obj = world.cache[GRANTS].get(key.namespace, key.name)
    if obj is not None:
        grant = MachineGrant.parse(obj)
        types = {
            one["spec"]["typeName"]
            for one in world.cache[TYPES]
            if one["metadata"]["namespace"] == key.namespace and not one["spec"].get("retired")
        }
        status = grant_status(grant, types, world.config.grounds, sum(map(_counts, named)), world.now())
        await write_status(world, grant, grant.status, status)
    return None


def _counts(deployment: Object) -> bool:
    return not deployment["spec"].get("dissolved") and not deployment["metadata"].get("deletionTimestamp")


def _age(deployment: Object) -> tuple[str, str]:
    metadata = deployment["metadata"]
    return metadata["creationTimestamp"], metadata["uid"]
