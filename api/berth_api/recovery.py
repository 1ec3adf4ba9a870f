"""Answers that a record does not hold completely: objects made before a process died, and private keys."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson

from berth_api import lookups, marks
from berth_api.http.errors import AwayError
from berth_api.idempotency import replay
from berth_api.idempotency.records import SECRETS, Entry
from berth_api.idempotency.replay import KEY_FIELD, PROFILE_FIELD, Answer
from berth_api.state import State
from berth_api.vpn import service
from berth_core import ids, names
from berth_core.kube import errors as cluster
from berth_core.kube import model
from berth_core.kube.clock import MOST_WIDTH
from berth_core.kube.types import Object
from berth_core.resources import (
    AccessRule,
    Build,
    FirewallRule,
    Instance,
    Project,
    Reservation,
    Resource,
    VPNClient,
    WorkspaceDeployment,
)
from berth_core.state import CLAIM_LOST

JSON_HEADERS: Final = ((b"content-type", b"application/json"),)


def _created(obj: Object) -> float:
    return model.parse_time(obj["metadata"]["creationTimestamp"]).timestamp()


def _lost_its_claim(obj: Object) -> bool:
    """Whether it is an Instance that came after its lease had been given up: then nothing was made."""
    return (obj.get("status") or {}).get("reason") == CLAIM_LOST


async def _labelled(state: State, kind: type[Resource], digest: str) -> list[Object]:
    labels = {names.IDEMPOTENCY_LABEL: digest}
    namespaces = state.config.workspace_namespaces
    pages = await asyncio.gather(*(state.client.list(kind.api(), space, labels=labels) for space in namespaces))
    return [obj for objects, _ in pages for obj in objects]


async def _private_key(state: State, instance_id: str) -> str | None:
    try:
        secret = await state.client.get(SECRETS, state.config.access_namespace, names.instance_object(instance_id))
    except cluster.NotFoundError:
        return None
    return base64.b64decode(secret["data"][names.PRIVATE_KEY]).decode()


async def _profile(state: State, client_id: str) -> str | None:
    try:
        return await service.stored_profile(state, client_id)
    except cluster.NotFoundError:
        return None


async def _instance(state: State, obj: Object) -> Answer:
    instance = Instance.parse(obj)
    public_id = instance.public_id
    if not await _has_its_lease(state, instance):
        raise AwayError(replay.NOT_KNOWN_YET, retry_after=1)
    body = {"success": True, "id": public_id}
    key = await _private_key(state, public_id)  # None where its user brought one
    return _json(body if key is None else body | {KEY_FIELD: key})


async def _has_its_lease(state: State, instance: Instance) -> bool:
    """Whether an unbound Instance holds its lease; one that came too late does not."""
    claim, status = instance.spec.claim, instance.status
    if claim is None or status.epoch is not None or status.reason is not None:
        return True
    deployment = await lookups.deployment_named(state, instance.metadata.namespace, claim.deployment)
    lease = deployment.resource.status.lease if deployment is not None else None
    return lease is not None and lease.instance == instance.public_id


async def _reservation(state: State, obj: Object) -> Answer:
    metadata, spec = obj["metadata"], Reservation.parse(obj).spec
    # The process that made it may have died before it set the mark.
    if spec.workspace_type is not None:
        kind = await lookups.type_named(state, metadata["namespace"], spec.workspace_type)
        if kind is not None:
            await marks.mark(state, kind)
    else:
        await marks.mark_of(state, metadata["namespace"], (spec.deployments or [""])[0])
    return _json({"success": False, "id": ids.instance_id(metadata["name"], metadata["uid"])})


async def _firewall_rule(_state: State, _obj: Object) -> Answer:
    return Answer(200, JSON_HEADERS)


async def _vpn_client(state: State, obj: Object) -> Answer:
    client = VPNClient.parse(obj)
    return _json({"client_id": client.metadata.uid, PROFILE_FIELD: await service.profile_of(state, client)})


async def _access_rule(state: State, obj: Object) -> Answer:
    rule = AccessRule.parse(obj)
    await marks.mark_of(state, rule.metadata.namespace, rule.spec.deployment)
    return _json({"rule_id": rule.spec.rule_id})


async def _project(_state: State, obj: Object) -> Answer:
    return _json({"pid": Project.parse(obj).spec.name})


async def _build(state: State, obj: Object) -> Answer:
    build = Build.parse(obj)
    project = await state.client.get(Project.api(), build.metadata.namespace, build.spec.project)
    return _json({"pid": Project.parse(project).spec.name, "jid": build.public_id})


async def _machine(_state: State, obj: Object) -> Answer:
    deployment = WorkspaceDeployment.parse(obj)
    return _json({"id": deployment.public_id, "grant": deployment.spec.grant})


SHAPES: Final[tuple[tuple[type[Resource], Callable[[State, Object], Awaitable[Answer]]], ...]] = (
    (Instance, _instance),
    (Reservation, _reservation),
    (FirewallRule, _firewall_rule),
    (VPNClient, _vpn_client),
    (AccessRule, _access_rule),
    (Project, _project),
    (Build, _build),
    (WorkspaceDeployment, _machine),
)
"""Kinds that a POST can make, and their answers."""


def _json(body: dict[str, Any]) -> Answer:
    return Answer(200, JSON_HEADERS, orjson.dumps(body))


class Recovery:
    """Finds answers by the objects made, and private keys by their owners."""

    async def answer_of(self, state: State, entry: Entry) -> Answer | None:
        """Look, live, for objects with the key's label; None where there are none. Raises ClusterError, AwayError.

        Objects older than the record belong to another request with the same key, a day ago or longer.
        """
        for kind, shape in SHAPES:
            labelled = await _labelled(state, kind, entry.digest)
            objects = [
                obj for obj in labelled if _created(obj) >= entry.created - MOST_WIDTH and not _lost_its_claim(obj)
            ]
            if objects:
                return await shape(state, min(objects, key=_created))
        return None

    async def whole(self, state: State, answer: Answer) -> Answer:
        """Return a kept answer in its original form; without the private key where that was deleted with its owner.

        Raises ClusterError.
        """
        if answer.key_of is None:
            return answer
        read = _profile if answer.key_field == PROFILE_FIELD else _private_key
        key = await read(state, answer.key_of)
        return replay.with_key(answer, key) if key is not None else answer
