"""Live reads: of single objects by their public ids, of a user's objects, and of objects that decide about access.

Concurrent requests share them (:class:`berth_api.cache.coalescing.Reads`): each gets a result that was read after it
asked.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TypeVar

from berth_api.auth import access
from berth_api.auth.identity import Identity
from berth_api.cache.deployment import Deployment, holder_of
from berth_api.state import State
from berth_core import ids
from berth_core.kube import errors as cluster
from berth_core.reading import readable
from berth_core.resources import (
    AccessRule,
    Build,
    Instance,
    MachineGrant,
    Project,
    Reservation,
    Resource,
    WorkspaceDeployment,
    WorkspaceType,
    oldest,
)

R = TypeVar("R", bound=Resource)


async def deployment(state: State, deployment_id: str) -> Deployment | None:
    """Read a deployment, live; None where there is none."""
    cached = state.caches.deployments.by("id", deployment_id)
    if cached:
        holder = holder_of(cached)
        live = await _get(state, WorkspaceDeployment, holder.namespace, holder.name)
        if live is not None:
            return Deployment.of(live)
    deployments = [Deployment.of(wd) for wd in await _by_id(state, WorkspaceDeployment, deployment_id)]
    deployments = [d for d in deployments if d.id == deployment_id]
    return holder_of(deployments) if deployments else None


async def deployments_of(state: State, type_name: str) -> list[Deployment]:
    """Read all deployments of a type, live."""
    resources = await _list(state, WorkspaceDeployment, {"spec.type": type_name})
    return [Deployment.of(wd) for wd in resources]


async def deployment_named(state: State, namespace: str, name: str) -> Deployment | None:
    """Read a deployment by the name of its resource, live; None where there is none."""
    resource = await _get(state, WorkspaceDeployment, namespace, name)
    return Deployment.of(resource) if resource is not None else None


async def grants(state: State) -> list[MachineGrant]:
    """Read all MachineGrants, live: in the order of the namespaces, and there by name."""
    return await _list(state, MachineGrant, None)


async def granted(state: State, grant: MachineGrant) -> list[Deployment]:
    """Read the deployments that were registered within a MachineGrant, live, retired ones too."""
    metadata = grant.metadata
    resources = await _list_in(state, WorkspaceDeployment, metadata.namespace, {"spec.grant": metadata.name})
    return [Deployment.of(wd) for wd in resources]


async def type_of(state: State, deployment: Deployment, *, live: bool = False) -> WorkspaceType | None:
    """Return a deployment's type: from the cache, or live where it is not there yet or ``live`` is asked for."""
    return await type_named(state, deployment.namespace, deployment.type, live=live)


async def type_named(state: State, namespace: str, name: str, *, live: bool = False) -> WorkspaceType | None:
    """Return the type of a name (``typeName``); as :func:`type_of`."""
    kind = state.caches.type_named(namespace, name)
    if kind is not None and live:
        # The oldest of a name stays the oldest while it exists, and one object is read faster than a list.
        kind = await _get(state, WorkspaceType, namespace, kind.metadata.name)
    if kind is not None and kind.spec.type_name == name:
        return kind
    types = await _list_in(state, WorkspaceType, namespace, {"spec.typeName": name})
    return oldest(types) if types else None


async def rules_of(state: State, deployment: Deployment) -> list[AccessRule]:
    """Read the access rules of a deployment, live."""
    return await _list_in(state, AccessRule, deployment.namespace, {"spec.deployment": deployment.name})


async def rules_among(state: State, deployments: Sequence[Deployment]) -> dict[tuple[str, str], list[AccessRule]]:
    """Read the access rules of some deployments, live, by namespace and name: in one list a namespace."""
    by_deployment: defaultdict[tuple[str, str], list[AccessRule]] = defaultdict(list)
    keys = {(d.namespace, d.name) for d in deployments}
    for rule in await rules(state) if keys else ():
        key = rule.metadata.namespace, rule.spec.deployment
        if key in keys:
            by_deployment[key].append(rule)
    return by_deployment


async def rules(state: State) -> list[AccessRule]:
    """Read all access rules, live."""
    return await _list(state, AccessRule, None)


async def reservations(state: State, user: str | None) -> list[Reservation]:
    """Read the reservations of a user, or of everyone, live."""
    return await _list(state, Reservation, {"spec.user": user} if user is not None else None)


async def reservation(state: State, reservation_id: str, user: str | None) -> Reservation | None:
    """Read a reservation, live; one not made by the API is found only where it is the user's, or ``user`` is None."""
    namespaces = state.config.workspace_namespaces
    by_name = await asyncio.gather(*(_get(state, Reservation, namespace, reservation_id) for namespace in namespaces))
    matches = [r for r in by_name if r is not None] or await reservations(state, user)
    matches = [r for r in matches if ids.instance_id(r.metadata.name, r.metadata.uid) == reservation_id]
    return min(matches, key=lambda r: r.metadata.creation_timestamp, default=None)


async def instance(state: State, instance_id: str) -> Instance | None:
    """Read an instance, live; None where there is none, or where it still waits for a deployment.

    Where a cache knows its name, one object is read.
    """
    endings = state.caches.endings.by("id", instance_id)
    live = await _get(state, Instance, endings[0].namespace, endings[0].name) if len(endings) == 1 else None
    several = [live] if live is not None else await _by_id(state, Instance, instance_id)
    matches = [i for i in several if i.public_id == instance_id]
    matches = [i for i in matches if deployment_name(i) is not None]
    return min(matches, key=lambda i: i.metadata.creation_timestamp, default=None)


async def instance_for(state: State, identity: Identity, instance_id: str) -> Instance:
    """Read an instance that the caller may use. Raises MissingError, BadRequestError."""
    access.need_instance(identity, instance_id)
    resource = await instance(state, instance_id)
    if resource is None:
        raise access.instance_missing()
    access.need_own(identity, resource)
    return resource


async def instance_and_deployment(
    state: State, identity: Identity, instance_id: str
) -> tuple[Instance, Deployment | None]:
    """Read an instance that the caller may use, and the deployment that it has, had, or claims, live.

    Both are read side by side where the cache shows which deployment that is. Errors are those of one after the other:
    of :func:`instance_for`, else of :func:`deployment_of`.
    """
    lent = state.caches.deployments.by("instance", instance_id)
    if len(lent) != 1:
        resource = await instance_for(state, identity, instance_id)
        return resource, await deployment_of(state, resource)
    namespace, name = lent[0].namespace, lent[0].name
    one, other = await asyncio.gather(
        instance_for(state, identity, instance_id), deployment_named(state, namespace, name), return_exceptions=True
    )
    if isinstance(one, BaseException):
        raise one
    if (one.metadata.namespace, deployment_name(one)) != (namespace, name):
        return one, await deployment_of(state, one)
    if isinstance(other, BaseException):
        raise other
    return one, other


async def instances(state: State, user: str | None) -> list[Instance]:
    """Read the instances of a user, or of everyone, live; waiting ones without a deployment are left out."""
    resources = await _list(state, Instance, {"spec.user": user} if user is not None else None)
    return [i for i in resources if deployment_name(i) is not None]


def deployment_name(instance: Instance) -> str | None:
    """Name of the deployment that an instance has, had, or claims; None while it waits for one."""
    if instance.status.deployment is not None:
        return instance.status.deployment
    return instance.spec.claim.deployment if instance.spec.claim is not None else None


def deployment_id(instance: Instance) -> str:
    """Public id of the deployment that an instance has, had, or claims."""
    return ids.deployment_id(instance.metadata.namespace, deployment_name(instance) or "")


async def deployment_of(state: State, instance: Instance) -> Deployment | None:
    """Read the deployment that an instance has, had, or claims, live; None where it was deleted, or never existed."""
    name = deployment_name(instance)
    return await deployment_named(state, instance.metadata.namespace, name) if name is not None else None


def cached_deployment_of(state: State, instance: Instance) -> Deployment | None:
    """Return the deployment that an instance has, had, or claims, as the cache has it."""
    return cached_deployment(state, instance.metadata.namespace, deployment_name(instance) or "")


def cached_deployment(state: State, namespace: str, name: str) -> Deployment | None:
    """Return a deployment by the name of its resource, as the cache has it."""
    deployments = state.caches.deployments.by("id", ids.deployment_id(namespace, name))
    return next((d for d in deployments if (d.namespace, d.name) == (namespace, name)), None)


async def projects(state: State, user: str | None) -> list[Project]:
    """Read the projects of a user, or of everyone, live; of several of one name the oldest."""
    by_name: dict[str, list[Project]] = defaultdict(list)
    for project in await _list(state, Project, {"spec.user": user} if user is not None else None):
        by_name[project.spec.name].append(project)
    return [_oldest(several) for several in by_name.values()]


async def project(state: State, name: str) -> Project | None:
    """Read the project that clients know by a name, live; None where there is none."""
    resources = await _list(state, Project, {"spec.name": name})
    return _oldest(resources) if resources else None


async def builds_of(state: State, project: Project) -> list[Build]:
    """Read the builds of a project, live."""
    several = await _list_in(state, Build, project.metadata.namespace, {"spec.project": project.metadata.name})
    return [b for b in several if _is_of(b, project)]


async def build_of(state: State, project: Project, build_id: str) -> Build | None:
    """Read a build of a project, live; None where there is none."""
    if not ids.is_uuid(build_id):
        return None
    namespace = project.metadata.namespace
    live = await _get(state, Build, namespace, build_id)
    several = [live] if live is not None else await _list_in(state, Build, namespace, {"status.id": build_id})
    mine = [b for b in several if b.public_id == build_id and _is_of(b, project)]
    return mine[0] if mine else None


def _is_of(build: Build, project: Project) -> bool:
    # By its user too: builds can outlive their project, whose name another user's project may then have.
    return (build.spec.project, build.spec.user) == (project.metadata.name, project.spec.user)


def _oldest(projects: Sequence[Project]) -> Project:
    return min(projects, key=lambda p: (p.metadata.creation_timestamp, p.metadata.uid))


async def _by_id(state: State, kind: type[R], public_id: str) -> list[R]:
    # Objects made by the API are named by their id. Others have it in their status.
    if not ids.is_uuid(public_id):
        return []
    namespaces = state.config.workspace_namespaces
    resources = await asyncio.gather(*(_get(state, kind, namespace, public_id) for namespace in namespaces))
    return [r for r in resources if r is not None] or await _list(state, kind, {"status.id": public_id})


async def _get(state: State, kind: type[R], namespace: str, name: str) -> R | None:
    async def read() -> R | None:
        try:
            return kind.parse(await state.client.get(kind.api(), namespace, name))
        except cluster.NotFoundError:
            return None

    return await state.reads.of((kind, namespace, name), read)


async def _list(state: State, kind: type[R], fields: Mapping[str, str] | None) -> list[R]:
    namespaces = state.config.workspace_namespaces
    lists = await asyncio.gather(*(_list_in(state, kind, namespace, fields) for namespace in namespaces))
    return [resource for resources in lists for resource in resources]


async def _list_in(state: State, kind: type[R], namespace: str, fields: Mapping[str, str] | None) -> list[R]:
    async def read() -> list[R]:
        objects, _ = await state.client.list(kind.api(), namespace, fields=fields)
        return readable(kind, objects)

    key = kind, namespace, tuple(sorted(fields.items())) if fields is not None else None
    return list(await state.reads.of(key, read))
