"""The VPN of an instance: asks whether it serves, has it refuse revoked clients, signs new ones.

``Instance.status.vpn.issued`` names each VPNClient (by uid) that was ever signed, and is written before anything is
signed. A client that it names and that does not exist any more is revoked. Nothing else is kept of a revoked client,
and no signed client can be forgotten. Clients are listed live before one is refused: a refusal cannot be taken back.
"""

import asyncio
import base64
import time
from collections.abc import Iterable
from typing import Final

import structlog

from berth_core import names, state
from berth_core.kube.conditions import condition, is_true, merged
from berth_core.kube.errors import NotFoundError
from berth_core.kube.types import Object
from berth_core.resources import Instance, VPNClient
from berth_core.resources.instance import MOST_VPN_CLIENTS, VPNIssued
from berth_core.vpn import Authority, Remote, profile
from berth_operator.agents.client import AgentAddress, AgentClient
from berth_operator.engine.workqueue import Key
from berth_operator.engine.world import World
from berth_operator.engine.writes import create, together, write_status
from berth_operator.errors import AgentError
from berth_operator.instances.manifests import vpn as building
from berth_operator.instances.manifests.service import announced
from berth_operator.instances.memory import Memories, Memory
from berth_operator.instances.observed import ObservedInstance, VpnView
from berth_operator.kinds import INSTANCE, SECRETS, SERVICES, VPN_CLIENTS
from berth_operator.pods.view import PodView
from berth_operator.settings.config import VpnSettings

log = structlog.get_logger(__name__)

FIRST_RETRY: Final = 0.1
LONGEST_RETRY: Final = 5.0


def look(world: World, instance: Instance, memory: Memory, pod: PodView | None) -> VpnView | None:
    """Observed VPN of an instance; None where it has none."""
    if not instance.spec.vpn:
        return None
    if world.config.vpn is None:
        return VpnView(offered=False)
    namespace, vpn = instance.metadata.namespace, memory.vpn
    service = world.cache[SERVICES].get(namespace, names.instance_object(instance.public_id))
    mapping = world.config.node_addresses or {}
    address, _ = announced(service, world.node(pod.node) if pod else None, mapping, port_name=names.VPN_PORT_NAME)
    objects = world.cache[VPN_CLIENTS].by("instance", instance.public_id, namespace)
    clients = [VPNClient.parse(obj) for obj in objects]
    present = (*objects, *world.cache[VPN_CLIENTS].unreadable(namespace))
    must_refuse = not _revoked(instance, present) <= vpn.refused
    must_ask = pod is not None and pod.vpn.state == "running" and not vpn.ready and not vpn.asking
    must_sign = bool(vpn.ready) and address is not None and bool(_unsigned(clients))
    return VpnView(
        ready=vpn.ready,
        problem=vpn.problem,
        address=address,
        must_refuse=must_refuse,
        due=(must_ask or must_refuse or must_sign) and time.monotonic() >= vpn.retry_at,
    )


async def attend(world: World, seen: ObservedInstance) -> None:
    """Do what is due. A failed step is tried again later, and does not keep the holder from the workspace."""
    instance, view, pod = seen.instance, seen.vpn, seen.pod
    if view is None or pod is None or world.config.vpn is None:
        raise RuntimeError("only an instance with a VPN and a pod is attended to")
    vpn = world.state(Memories).of(instance.metadata.namespace, instance.public_id).vpn
    if not view.ready and not vpn.asking and pod.vpn.state == "running":
        _ask(world, instance, pod)
    try:
        if view.must_refuse:
            await refuse(world, instance, pod)
        if view.ready and view.address is not None:
            await _sign(world, instance, world.config.vpn, Remote(view.address.ipv4, view.address.port))
    except (AgentError, NotFoundError) as error:
        vpn.failures += 1
        delay = min(FIRST_RETRY * 2.0 ** min(vpn.failures, 8), LONGEST_RETRY)
        vpn.retry_at = time.monotonic() + delay
        log.warning("the VPN is behind", instance=instance.public_id, error=str(error))
        world.queue.add_after(_key(instance), delay)
        return
    vpn.failures = 0


async def refuse(world: World, instance: Instance, pod: PodView) -> None:
    """Have the agent put the list of revoked clients in force, and end their sessions. Raises AgentError."""
    namespace = instance.metadata.namespace
    objects, _ = await world.client.list(VPN_CLIENTS, namespace, fields={"spec.instance": instance.public_id})
    revoked = _revoked(instance, objects)
    memory = world.state(Memories).of(namespace, instance.public_id)
    if revoked <= memory.vpn.refused:  # the cache lacks a client that exists: it will know
        memory.vpn.retry_at = time.monotonic() + FIRST_RETRY
        world.queue.add_after(_key(instance), FIRST_RETRY)
        return
    authority = await _authority(world, instance)
    agent = AgentAddress(pod.ip, pod.name, instance.status.epoch or 0)
    ended = await world.state(AgentClient).refuse(agent, authority.revoked(revoked, world.now()), sorted(revoked))
    new, access = revoked - memory.vpn.refused, world.config.access_namespace
    await together(*(world.client.delete(SECRETS, access, names.vpn_profile(one)) for one in sorted(new)))
    memory.vpn.refused = revoked
    log.info("revoked", instance=instance.public_id, clients=len(revoked), ended=ended)


async def clear(world: World, namespace: str, instance_id: str) -> bool:
    """Delete all clients of a VPN, and their profiles; whether live lists find none of them any more.

    Nothing is asked of the cluster where nothing says that there was a VPN.
    """
    access, fields = world.config.access_namespace, {"spec.instance": instance_id}
    for _ in range(2):
        clients, _version = await world.client.list(VPN_CLIENTS, namespace, fields=fields)
        secrets, _version = await world.client.list(
            SECRETS, access, labels={names.INSTANCE_LABEL: instance_id}, metadata_only=True
        )
        if not clients and not secrets:
            return True
        await together(
            *(world.client.delete(VPN_CLIENTS, namespace, one["metadata"]["name"]) for one in clients),
            *(world.client.delete(SECRETS, access, one["metadata"]["name"]) for one in secrets),
        )
    return False


def _ask(world: World, instance: Instance, pod: PodView) -> None:
    """Begin to ask the agent whether the VPN serves; the answer, for which it waits some seconds, brings us back."""
    vpn = world.state(Memories).of(instance.metadata.namespace, instance.public_id).vpn
    agent = AgentAddress(pod.ip, pod.name, instance.status.epoch or 0)

    async def run() -> None:
        delay = 0.0
        try:
            vpn.ready, vpn.problem = await world.state(AgentClient).vpn(agent)
        except AgentError as error:
            vpn.problem, delay = str(error), LONGEST_RETRY
            vpn.retry_at = time.monotonic() + delay
        vpn.question = None
        world.queue.add_after(_key(instance), delay)

    vpn.question = asyncio.create_task(run(), name=f"vpn {instance.public_id}")


async def _sign(world: World, instance: Instance, settings: VpnSettings, remote: Remote) -> None:
    """Sign all clients that are new: write down who, make their profiles, say so."""
    namespace = instance.metadata.namespace
    objects = world.cache[VPN_CLIENTS].by("instance", instance.public_id, namespace)
    clients = _unsigned([VPNClient.parse(obj) for obj in objects])
    if not clients:
        return
    issued = instance.status.vpn.issued if instance.status.vpn is not None else []
    new = [client.metadata.uid for client in clients if client.metadata.uid not in issued]
    room = MOST_VPN_CLIENTS - len(issued)
    if new[:room]:
        after = instance.status.model_copy(update={"vpn": VPNIssued(issued=[*issued, *new[:room]])})
        await write_status(world, instance, instance.status, after)
    surplus = set(new[room:])
    authority, key = await _authority_and_key(world, instance)

    async def sign(client: VPNClient) -> None:
        uid = client.metadata.uid
        if uid in surplus:
            message = f"a VPN signs at most {MOST_VPN_CLIENTS} clients, revoked ones too"
            await _tell(world, client, ready=False, reason="TooMany", message=message)
            return
        pair = authority.client(uid, world.now())
        text = profile(settings.tunnel, remote, authority=authority.pair.certificate, pair=pair, static_key=key)
        manifest = building.profile_secret(world.config.access_namespace, instance.public_id, uid, text)
        await create(world, SECRETS, manifest)
        await _tell(world, client, ready=True, reason="Signed", message="its profile can be fetched")

    await together(*(sign(client) for client in clients))
    log.info("signed", instance=instance.public_id, clients=len(clients) - len(surplus))


async def _tell(world: World, client: VPNClient, *, ready: bool, reason: str, message: str) -> None:
    metadata, uid = client.metadata, client.metadata.uid
    entry = condition(state.READY, ready, reason, message, now=world.now(), generation=metadata.generation)
    status: Object = {
        "conditions": [c.wire() for c in merged(client.status.conditions, [entry])],
        "observedGeneration": metadata.generation,
    }
    if ready:
        reference = {"namespace": world.config.access_namespace, "name": names.vpn_profile(uid)}
        status |= {"clientID": uid, "secretRef": reference}
    body: Object = {"metadata": {"uid": uid}, "status": status}
    try:
        answer = await world.client.patch(VPN_CLIENTS, metadata.namespace, metadata.name, body, subresource="status")
    except NotFoundError:  # revoked meanwhile: its event brings the instance back
        return
    world.cache[VPN_CLIENTS].put(answer)


async def _authority(world: World, instance: Instance) -> Authority:
    authority, _ = await _authority_and_key(world, instance)
    return authority


async def _authority_and_key(world: World, instance: Instance) -> tuple[Authority, str]:
    """Read the authority of the instance's VPN, and the key for tls-crypt, live."""
    status = instance.status
    workspace = names.workspace_secret(instance.public_id, status.epoch or 0, status.nonce)
    secret = await world.client.get(SECRETS, instance.metadata.namespace, names.vpn_secret(workspace))
    data = {name: base64.b64decode(text) for name, text in secret["data"].items()}
    authority = Authority(data[building.AUTHORITY_CERTIFICATE], data[building.AUTHORITY_KEY])
    return authority, data[building.STATIC_KEY].decode("ascii")


def _revoked(instance: Instance, clients: Iterable[Object]) -> frozenset[str]:
    """Return uids of signed clients that are gone, or being deleted. A client that cannot be read is there."""
    issued = instance.status.vpn.issued if instance.status.vpn is not None else []
    living = {one["metadata"]["uid"] for one in clients if not one["metadata"].get("deletionTimestamp")}
    return frozenset(issued) - living


def _unsigned(clients: list[VPNClient]) -> list[VPNClient]:
    """Clients without a profile that were not told that there will be none, oldest first."""
    waiting = [
        client
        for client in clients
        if client.metadata.deletion_timestamp is None
        and not is_true(client.status.conditions, state.READY)
        and client.status.observed_generation is None
    ]
    return sorted(waiting, key=lambda client: (client.metadata.creation_timestamp, client.metadata.uid))


def _key(instance: Instance) -> Key:
    return Key(INSTANCE, instance.metadata.namespace, instance.metadata.name)
