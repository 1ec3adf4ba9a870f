"""An instance's VPN: its clients are VPNClient resources, which the operator signs."""

import asyncio
import base64
from typing import Final

from berth_api import lookups
from berth_api.auth import access
from berth_api.auth.access import Scope
from berth_api.auth.identity import Identity
from berth_api.http.errors import INSTANCE_BUSY, ApiError, BadRequestError, BusyError, MissingError
from berth_api.idempotency import replay
from berth_api.idempotency.making import create
from berth_api.state import State
from berth_core import names
from berth_core.kube import conditions
from berth_core.kube import errors as cluster
from berth_core.kube.types import Kind
from berth_core.reading import readable
from berth_core.resources import Instance, VPNClient, VPNClientSpec, manifest
from berth_core.resources.instance import MOST_VPN_CLIENTS
from berth_core.state import READY, VPN_READY, is_active

SECRETS: Final = Kind("v1", "secrets")
WORKSPACE: Final = "workspace"
"""Id of the workspace's own end of the VPN."""
SIGNED_WITHIN: Final = 3.0
"""Seconds from the request until a client must have been signed."""


async def show(state: State, identity: Identity, instance_id: str) -> tuple[Instance, list[str]]:
    """Read the instance and the ids of its VPN's clients, live. Raises BadRequestError where it ends or has ended."""
    instance = await lookups.instance_for(state, identity, instance_id)
    access.need_active(instance)
    return instance, await client_ids(state, instance)


async def client_ids(state: State, instance: Instance) -> list[str]:
    """Ids of a VPN's clients in the order of signing, the workspace's own first; none while it is being prepared."""
    if not instance.spec.vpn or not is_ready(instance) or not is_active(instance):
        return []
    signed = [client.metadata.uid for client in await _clients(state, instance) if _is_signed(client)]
    issued = instance.status.vpn.issued if instance.status.vpn is not None else []
    place = {uid: number for number, uid in enumerate(issued)}
    return [WORKSPACE, *sorted(signed, key=lambda uid: place.get(uid, len(place)))]


async def add_client(state: State, identity: Identity, instance_id: str) -> tuple[str, str]:
    """Make a client; return its id and its profile, which contains its private key.

    Raises BadRequestError where there is no VPN or it signs no more. Raises BusyError while it is being prepared, or
    where the client is not signed in time.
    """
    instance = await _changeable(state, identity, instance_id)
    if not instance.spec.vpn:
        raise BadRequestError("this instance has no VPN: ask for one with `vpn` when it is made")
    if not is_ready(instance):
        raise BusyError(INSTANCE_BUSY)
    if instance.status.vpn is not None and len(instance.status.vpn.issued) >= MOST_VPN_CLIENTS:
        raise BadRequestError(f"a VPN signs at most {MOST_VPN_CLIENTS} clients, revoked ones too")
    body = manifest(
        VPNClient,
        instance.metadata.namespace,
        "",
        VPNClientSpec(instance=instance.public_id),
        generateName=f"{instance.metadata.name}-",
        labels={names.INSTANCE_LABEL: instance.public_id, names.MANAGED_BY_LABEL: names.MANAGED_BY} | identity.labels,
        ownerReferences=[instance.reference()],
    )
    del body["metadata"]["name"]
    client = VPNClient.parse(await create(state.client, VPNClient, body))
    try:
        return client.metadata.uid, await profile_of(state, client)
    except (ApiError, cluster.ClusterError) as error:
        if replay.current() is None or isinstance(error, BadRequestError):  # else a repeat of the request finds it
            await _delete(state, client)
        raise


async def revoke_client(state: State, identity: Identity, instance_id: str, client_id: str) -> None:
    """Revoke a client. Raises MissingError for an unknown id."""
    instance = await _changeable(state, identity, instance_id)
    if instance.spec.vpn and client_id == WORKSPACE:
        raise BadRequestError("the workspace's own end of the VPN cannot be revoked: end the instance")
    for client in await _clients(state, instance):
        if client.metadata.uid == client_id:
            await _delete(state, client)
            return
    raise MissingError("client not found")


async def profile_of(state: State, client: VPNClient) -> str:
    """Wait until a client is signed and return its profile.

    Raises BusyError where that takes too long or somebody revokes it, BadRequestError where it will not be signed.
    """
    try:
        async with asyncio.timeout(SIGNED_WITHIN):
            await _signed(state, client)
            return await stored_profile(state, client.metadata.uid)
    except (TimeoutError, cluster.GoneError, cluster.NotFoundError) as error:
        raise BusyError(INSTANCE_BUSY) from error


async def stored_profile(state: State, client_id: str) -> str:
    """Read the profile of a signed client. Raises NotFoundError of the cluster where it was revoked."""
    secret = await state.client.get(SECRETS, state.config.access_namespace, names.vpn_profile(client_id))
    return base64.b64decode(secret["data"][names.VPN_PROFILE]).decode()


def is_ready(instance: Instance) -> bool:
    """Whether clients can connect."""
    return conditions.is_true(instance.status.conditions, VPN_READY)


async def _signed(state: State, client: VPNClient) -> None:
    """Follow a client until it is signed. Raises BadRequestError where the operator refuses it."""
    metadata, name = client.metadata, {"metadata.name": client.metadata.name}
    version = metadata.resource_version
    while True:
        if _is_decided(client):
            return
        async for event in state.client.watch(VPNClient.api(), metadata.namespace, version, fields=name):
            version = event.object["metadata"]["resourceVersion"]
            if event.type == "DELETED":
                raise BusyError(INSTANCE_BUSY)
            if event.type != "BOOKMARK" and _is_decided(client := VPNClient.parse(event.object)):
                return


def _is_decided(client: VPNClient) -> bool:
    """Whether it is signed. Raises BadRequestError where it never will be."""
    condition = conditions.find(client.status.conditions, READY)
    if condition is not None and condition.status == "False":
        raise BadRequestError(condition.message)
    return _is_signed(client)


def _is_signed(client: VPNClient) -> bool:
    living = client.metadata.deletion_timestamp is None
    return living and conditions.is_true(client.status.conditions, READY)


async def _clients(state: State, instance: Instance) -> list[VPNClient]:
    # By the spec, not by label, so that clients made with kubectl are listed too.
    objects, _ = await state.client.list(
        VPNClient.api(), instance.metadata.namespace, fields={"spec.instance": instance.public_id}
    )
    return readable(VPNClient, objects)


async def _delete(state: State, client: VPNClient) -> None:
    metadata = client.metadata
    await state.client.delete(VPNClient.api(), metadata.namespace, metadata.name, uid=metadata.uid)


async def _changeable(state: State, identity: Identity, instance_id: str) -> Instance:
    access.need_instance(identity, instance_id)
    access.need_write(identity, Scope.CHANGE)
    instance = await lookups.instance_for(state, identity, instance_id)
    access.need_active(instance)
    return instance
