"""Makes the Secrets of a lease, whether or not it has a holder yet. Existing ones stay as they are."""

import base64

from berth_core import names
from berth_core.leases.availability import Lease
from berth_core.resources import Instance
from berth_core.vpn import Authority as VpnAuthority
from berth_operator.agents.certificates import Authority
from berth_operator.connectors import reach
from berth_operator.engine.world import World
from berth_operator.engine.writes import create
from berth_operator.instances.manifests import secrets, vpn
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.kinds import SECRETS
from berth_operator.podspec.secrets import new_host_key, public_host_key
from berth_operator.settings.config import VpnSettings


def lease_parts(world: World, instance: Instance, lease: Lease) -> LeaseParts | None:
    """Return the parts that a lease's manifests are made from; None while the deployment or its type is not there."""
    namespace = instance.metadata.namespace
    wd = world.deployment(namespace, lease.deployment)
    type_ = world.type_named(namespace, wd.spec.type) if wd else None
    warm, nonce = bool(instance.status.warm), instance.status.nonce
    return LeaseParts(instance, wd, type_, lease.epoch, warm, nonce) if wd and type_ else None


async def host_key(world: World, lease: LeaseParts) -> str:
    """Make the workspace's Secret, or take the key in the one that an earlier try has made.

    Returns the public key.
    """
    key = new_host_key()
    if await create(world, SECRETS, secrets.workspace_secret(lease, key)) is None:
        return await known_key(world, lease)
    return key.public


async def known_key(world: World, lease: LeaseParts) -> str:
    """Public host key in the workspace's Secret, read live."""
    return public_host_key(await world.client.get(SECRETS, lease.namespace, lease.workspace_secret))


async def agent_secret(world: World, lease: LeaseParts) -> None:
    """Make the agent's Secret."""
    pair = world.state(Authority).agent(lease.name, lease.epoch, world.now())
    machines = world.config.grounds.around(None)
    body = secrets.agent_secret(lease, pair, world.state(Authority).pem, machines)
    if lease.way is not None:
        content = await reach.machine_file(world, lease.deployment, lease.way, lease.epoch)
        body["data"][names.MACHINE_KEY] = base64.b64encode(content).decode("ascii")
    await create(world, SECRETS, body)


async def vpn_secret(world: World, lease: LeaseParts, settings: VpnSettings) -> None:
    """Make the Secret with the keys of the lease's VPN."""
    now = world.now()
    authority = VpnAuthority.of(lease.id, lease.epoch, now)
    server = authority.server(now)
    body = vpn.secret(lease, settings, authority, (server.certificate, server.key), authority.revoked((), now))
    await create(world, SECRETS, body)


def secret_names(world: World, lease: LeaseParts) -> tuple[str, ...]:
    """Names of all Secrets that the lease's pod mounts."""
    own = () if vpn.settings(lease, world.config) is None else (names.vpn_secret(lease.workspace_secret),)
    return (*lease.secrets, *own)


async def has_secrets(world: World, lease: LeaseParts) -> bool:
    """Whether all of them are there, read live."""
    secrets, _ = await world.client.list(SECRETS, lease.namespace, labels=lease.labels, metadata_only=True)
    return {secret["metadata"]["name"] for secret in secrets}.issuperset(secret_names(world, lease))
