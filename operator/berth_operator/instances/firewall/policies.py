"""NetworkPolicies around pods of leases: one for each type, and one for a lease that needs its own (ADR 0046)."""

import asyncio
import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson
import structlog

from berth_core import names
from berth_core.firewall import Sources
from berth_core.kube.cache import version_of
from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Kind, Object
from berth_core.resources import WorkspaceType
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import TermState, World
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.comparison import stands
from berth_operator.instances.manifests.policy import type_policy
from berth_operator.kinds import PODS, POLICIES, POLICY, TYPES
from berth_operator.pods.view import PodView
from berth_operator.settings.config import Config

log = structlog.get_logger(__name__)

GONE_SECONDS: Final = 60.0
"""A policy stays at least so long after its type."""

Place = tuple[str, str]
"""Namespace and ``metadata.name`` of a type."""


class Applied(NamedTuple):
    """The NetworkPolicy of a type as this process applied or found it."""

    digest: str
    """Of its manifest."""
    generation: int
    version: int
    """Its resourceVersion: a list that shows an older one was asked for before."""


@dataclass
class TypePolicies(TermState):
    """Which NetworkPolicies of types stand as they should, as far as this process knows."""

    applied: dict[Place, Applied] = field(default_factory=dict)
    locks: dict[Place, asyncio.Lock] = field(default_factory=dict)
    gone: dict[Place, float] = field(default_factory=dict)
    """Since when types are missed, on the monotonic clock."""

    def lock(self, of: Place) -> asyncio.Lock:
        """Held while the policy of a type is written: the last one who has it sees the newest type."""
        return self.locks.setdefault(of, asyncio.Lock())

    def clear(self) -> None:
        """Drop everything: another process leads."""
        self.applied.clear()
        self.locks.clear()
        self.gone.clear()


def has_its_own(config: Config, lease: LeaseParts, pod: PodView | None) -> bool:
    """Whether a lease has a NetworkPolicy of its own.

    Its sources are exact, it opens a machine's endpoints, or an earlier version made its pod.
    """
    opens = lease.network is not None or lease.way is not None
    return config.sources is Sources.EXACT or opens or (pod is not None and not pod.type)


async def uphold(world: World, type_: WorkspaceType) -> str:
    """Apply the NetworkPolicy of a type where it is not known to stand; return the digest of its manifest.

    No pod of the type is made before. ``type_`` is what to go by where the cache has no newer one.
    """
    state, of = world.state(TypePolicies), (type_.metadata.namespace, type_.metadata.name)
    async with state.lock(of):
        newest = world.cache[TYPES].get(*of)
        manifest = type_policy(WorkspaceType.parse(newest) if newest is not None else type_, world.config)
        digest = digest_of(manifest)
        known = state.applied.get(of)
        if known is None or known.digest != digest:
            state.applied.pop(of, None)  # what gets no answer may have come all the same
            stood = await apply(world, POLICIES, manifest, look=known is None)
            state.applied[of] = Applied(digest, int(stood["metadata"]["generation"]), version_of(stood))
        return digest


async def reconcile_policy(world: World, key: Key) -> float | None:
    """Let the NetworkPolicy of a type follow it; delete it some time after the type, and not before its pods."""
    obj = world.cache[TYPES].get(key.namespace, key.name)
    state, of = world.state(TypePolicies), (key.namespace, key.name)
    if obj is not None:
        state.gone.pop(of, None)
        await uphold(world, WorkspaceType.parse(obj))
    elif world.cache[TYPES].unreadable_one(*of) is None:
        # At first a pass may have seen the type, and be making a pod.
        since = state.gone.setdefault(of, time.monotonic())
        if (wait := since + GONE_SECONDS - time.monotonic()) > 0:
            return wait
        await _follow_its_end(world, state, of)
    return None


async def _follow_its_end(world: World, state: TypePolicies, of: Place) -> None:
    """Delete the policy of a type that is gone, where no pod of it is left; else a later sweep comes back."""
    namespace, name = of
    async with state.lock(of):
        pods, _ = await world.client.list(PODS, namespace, labels=names.type_labels(name), metadata_only=True)
        if pods or await find(world, TYPES, *of) is not None:
            return
        policy = await find(world, POLICIES, namespace, names.type_policy(name))
        if policy is not None:
            metadata = policy["metadata"]
            where, version = (namespace, metadata["name"]), metadata["resourceVersion"]
            await world.client.delete(POLICIES, *where, uid=metadata["uid"], resource_version=version)
            log.info("the NetworkPolicy of a type that is gone is deleted", type=name, namespace=namespace)
        state.applied.pop(of, None)
        state.gone.pop(of, None)


def look_at_types(world: World, namespace: str, objects: Iterable[Object], as_of: int) -> None:
    """Have the NetworkPolicies of types applied again that a list, as of a version, shows changed or does not show.

    ``objects`` are the metadata of all of Berth's NetworkPolicies in a namespace.
    """
    state, shown = world.state(TypePolicies), dict[str, Object]()
    for obj in objects:
        if (name := _type_of(obj)) is not None:
            shown[name] = obj
    for name in {*shown, *(known for where, known in state.applied if where == namespace)}:
        applied = state.applied.get((namespace, name))
        if applied is not None and _is_others(applied, shown.get(name), as_of):
            log.warning("another has changed or deleted the NetworkPolicy of a type", type=name, namespace=namespace)
            del state.applied[namespace, name]
            world.add(POLICY, namespace, name)
        elif world.cache[TYPES].get(namespace, name) is None:
            world.add(POLICY, namespace, name)


def _is_others(applied: Applied, shown: Object | None, as_of: int) -> bool:
    """Whether a list shows another policy than was applied, or none; one that was asked for before shows nothing."""
    if shown is None:
        return applied.version <= as_of
    return version_of(shown) > applied.version and shown["metadata"].get("generation") != applied.generation


def _type_of(policy: Object) -> str | None:
    """Name of the type whose NetworkPolicy this is; None of any other."""
    metadata = policy["metadata"]
    name = (metadata.get("labels") or {}).get(names.TYPE_LABEL)
    return str(name) if name and metadata["name"] == names.type_policy(name) else None


async def apply(world: World, kind: Kind, manifest: Object, *, look: bool) -> Object:
    """Apply; with ``look`` only where a live read shows that it is not so already, which costs the API server less.

    Return the object as it stands then.
    """
    metadata = manifest["metadata"]
    present = await find(world, kind, metadata["namespace"], metadata["name"]) if look else None
    if present is not None and stands(present, manifest):
        return present
    return await world.client.apply(kind, manifest)


async def find(world: World, kind: Kind, namespace: str, name: str) -> Object | None:
    """Read an object live; None where there is none."""
    try:
        return await world.client.get(kind, namespace, name)
    except NotFoundError:
        return None


def digest_of(manifest: Object) -> str:
    """Digest that tells manifests apart."""
    return hashlib.sha256(orjson.dumps(manifest)).hexdigest()
