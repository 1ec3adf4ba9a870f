"""Makes objects of a lease, whether or not somebody has it yet. What is there already stays as it is."""

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from secrets import token_hex
from typing import TypeVar

from berth_core import names
from berth_core.kube.errors import AlreadyExistsError, ClusterError
from berth_core.kube.types import Kind, Object
from berth_core.vpn import Authority
from berth_operator.instances.manifests import secrets, vpn
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.kinds import SECRETS
from berth_operator.settings.config import VpnSettings
from berth_operator.world import World

K = TypeVar("K")
V = TypeVar("V")


def new_nonce() -> str:
    """Draw a nonce for names of Secrets: another one than anybody else draws, and none of the words in names."""
    return token_hex(4)


@contextmanager
def unused_where_unknown(nonces: MutableMapping[K, V], key: K) -> Iterator[None]:
    """Forget a drawn nonce where Secrets were sent under it and the answer did not come: the next try draws another.

    Such a create may still arrive when the lease is over. Under a name that a status knows it would let a late pod
    start (ADR 0024).
    """
    try:
        yield
    except ClusterError:  # of several writes the first failure is raised, whatever became of the others
        nonces.pop(key, None)
        raise


async def host_key(world: World, lease: LeaseParts) -> str:
    """Make the workspace's Secret, or take the key in the one that an earlier try has made.

    Returns the public key.
    """
    key = secrets.new_host_key()
    if await create(world, SECRETS, secrets.workspace_secret(lease, key)) is None:
        return await known_key(world, lease)
    return key.public


async def known_key(world: World, lease: LeaseParts) -> str:
    """Public host key in the workspace's Secret, read live."""
    return secrets.public_host_key(await world.client.get(SECRETS, lease.namespace, lease.workspace_secret))


async def agent_secret(world: World, lease: LeaseParts) -> None:
    """Make the agent's Secret."""
    pair = world.authority.agent(lease.name, lease.epoch, world.now())
    await create(world, SECRETS, secrets.agent_secret(lease, pair, world.authority.pem))


async def vpn_secret(world: World, lease: LeaseParts, wanted: VpnSettings) -> None:
    """Make the Secret with the keys of the lease's VPN."""
    now = world.now()
    authority = Authority.new(lease.id, lease.epoch, now)
    server = authority.server(now)
    body = vpn.secret(lease, wanted, authority, (server.certificate, server.key), authority.revocations((), now))
    await create(world, SECRETS, body)


def secret_names(world: World, lease: LeaseParts) -> tuple[str, ...]:
    """Names of all Secrets that the lease's pod mounts."""
    own = () if vpn.settings(lease, world.config) is None else (names.vpn_secret(lease.workspace_secret),)
    return (*lease.secrets, *own)


async def has_secrets(world: World, lease: LeaseParts) -> bool:
    """Whether all of them are there, read live."""
    listed, _ = await world.client.list(SECRETS, lease.namespace, labels=lease.labels, metadata_only=True)
    return {secret["metadata"]["name"] for secret in listed}.issuperset(secret_names(world, lease))


async def create(world: World, kind: Kind, body: Object | None) -> Object | None:
    """Make an object; None where there is nothing to make, or the name is taken: by what was made before."""
    if body is None:
        return None
    try:
        return await world.client.create(kind, body["metadata"]["namespace"], body)
    except AlreadyExistsError:
        return None
