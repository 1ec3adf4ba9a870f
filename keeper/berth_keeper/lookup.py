"""Reads the Secret of a relay, live and by name. The process has no other right to Secrets."""

from berth_core.kube.client import Client
from berth_core.kube.errors import ForbiddenError, NotFoundError
from berth_core.kube.types import Kind
from berth_core.machines.reach import Networks
from berth_core.resources import Relay
from berth_keeper import credentials
from berth_keeper.credentials import Credentials
from berth_keeper.secret import MISSING, UnusableError

SECRETS = Kind("v1", "secrets")


class Lookup:
    """Secrets of one namespace; ``networks`` are those that the process connects to."""

    def __init__(self, client: Client, namespace: str, networks: Networks) -> None:
        self._client = client
        self._namespace = namespace
        self.networks = networks

    async def credentials(self, relay: Relay) -> Credentials:
        """Read what works a relay.

        Raises:
            UnusableError: nothing does; the message says what to do.
            berth_core.kube.errors.ClusterError: that cannot be said now.

        """
        name = relay.spec.secret
        try:
            secret = await self._client.get(SECRETS, self._namespace, name)
        except (NotFoundError, ForbiddenError) as error:
            raise UnusableError(
                MISSING, f"there is no Secret {name} in the namespace {self._namespace}, or it may not be read: make it"
            ) from error
        read = credentials.read(
            secret.get("data") or {}, relay.metadata.namespace, relay.spec.deployment, self.networks
        )
        if relay.spec.on_lease_end is not None:
            credentials.need(read, relay.spec.on_lease_end)
        return read
