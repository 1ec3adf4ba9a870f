"""Instances of a user: lists, private keys, termination."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass

from berth_api import lookups
from berth_api.auth import access
from berth_api.auth.access import Scope, need_active
from berth_api.auth.identity import Identity
from berth_api.cache import listing
from berth_api.cache.deployment import Deployment
from berth_api.cache.listing import Page
from berth_api.deployments import service
from berth_api.deployments.service import Detail
from berth_api.http.errors import BadRequestError, MissingError
from berth_api.state import State
from berth_core import names
from berth_core.keys.ssh import KeyPair, key_secret
from berth_core.kube import errors as cluster
from berth_core.kube.model import parse_time
from berth_core.kube.types import Kind
from berth_core.resources import Instance
from berth_core.state import Word, is_active, word

SECRETS = Kind("v1", "secrets")


@dataclass(frozen=True)
class Overview:
    """An instance in the words of clients; ``type`` is empty where its deployment was deleted."""

    instance: Instance
    state: Word
    deployment: str
    """Public id."""
    type: str
    region: str

    @property
    def start_time(self) -> str:
        """Time when the instance was bound, or else asked for."""
        return self.instance.status.start_time or self.instance.metadata.creation_timestamp


async def listed(state: State, identity: Identity, query: Mapping[str, str], type_name: str | None) -> Page[Overview]:
    """List the caller's instances, live; a superuser's list has everyone's, or those of ``user``."""
    access.need_unconstrained(identity)
    state.caches.need_fresh()
    instances = await lookups.instances(state, access.listed_user(identity, query.get("user")))
    states = {Word.INIT, Word.READY}
    if "include_terminated" in query:
        states |= {Word.TERMINATING, Word.TERMINATED}
    if "include_init_fail" in query:
        states |= {Word.INIT_FAIL}
    overviews = (_overview(instance, lookups.cached_deployment_of(state, instance)) for instance in instances)
    matches = [item for item in overviews if item.state in states and type_name in (None, item.type)]
    descending = listing.newest_first(query.get("sort_by"))
    # Compared as times: some are written with fractions of a second, some without.
    matches.sort(key=lambda item: (parse_time(item.start_time), item.instance.public_id), reverse=descending)
    return listing.paged(matches, query)


async def detail(state: State, identity: Identity, instance_id: str) -> tuple[Overview, Detail | None]:
    """Read one instance and its deployment, live; the deployment is None where it was deleted."""
    instance, deployment = await lookups.instance_and_deployment(state, identity, instance_id)
    overview = _overview(instance, deployment)
    if deployment is None:
        return overview, None
    lease = deployment.resource.status.lease
    if lease is None or lease.instance != instance_id:
        return overview, await service.detail_of(state, deployment, identity)
    # The instance there was just read: no need to read it again.
    own = instance_id if lease.user == identity.user and is_active(instance) else None
    kind, length = await lookups.type_of(state, deployment), service.queue_length(state, deployment)
    return overview, Detail(deployment, kind, length, own)


async def private_key(state: State, identity: Identity, instance_id: str) -> str:
    """Read the private key that we made, in PEM. Raises MissingError where the user brought one."""
    need_active(await lookups.instance_for(state, identity, instance_id))
    try:
        secret = await state.client.get(SECRETS, state.config.access_namespace, names.instance_object(instance_id))
        return base64.b64decode(secret["data"][names.PRIVATE_KEY]).decode()
    except cluster.NotFoundError as error:
        raise MissingError("no key was made for this instance: its user brought one") from error


async def store_key(state: State, instance_id: str, pair: KeyPair) -> None:
    """Store the key pair that was made for an instance, for ``GET /instance/:id/sshkey``."""
    namespace = state.config.access_namespace
    await state.client.create(SECRETS, namespace, key_secret(namespace, instance_id, pair))


async def terminate(state: State, identity: Identity, instance_id: str) -> None:
    """Ask for the end of an instance. Raises BadRequestError with the state's word where it ends or has ended."""
    access.need_instance(identity, instance_id)
    access.need_write(identity, Scope.TERMINATION)
    instance = await lookups.instance_for(state, identity, instance_id)
    if not is_active(instance):
        raise BadRequestError(f"instance is {word(instance)}")
    metadata = instance.metadata
    body = {"metadata": {"uid": metadata.uid}, "spec": {"terminate": True}}
    try:
        await state.client.patch(Instance.api(), metadata.namespace, metadata.name, body)
    except cluster.NotFoundError as error:
        raise access.instance_missing() from error


def _overview(instance: Instance, deployment: Deployment | None) -> Overview:
    return Overview(
        instance=instance,
        state=word(instance),
        deployment=lookups.deployment_id(instance),
        type=deployment.type if deployment is not None else instance.spec.workspace_type or "",
        region=deployment.resource.spec.region if deployment is not None else "",
    )
