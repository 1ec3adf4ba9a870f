"""State of the process: the connection, caches of the public lists, keys. Made once, shared by all requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from berth_api.auth.oidc import ProviderKeys
from berth_api.auth.passwords import Passwords
from berth_api.auth.revocations import Revocations
from berth_api.auth.tokens import TokenVerifier
from berth_api.cache.caches import Caches
from berth_api.cache.coalescing import Claims, Reads
from berth_api.config import Config
from berth_api.http.errors import AwayError
from berth_api.protocol_version import ProtocolVersion
from berth_api.ratelimit import Limiter
from berth_api.tls.certificate import Certificate
from berth_core.archive.storage import Archive
from berth_core.kube.client import Client

TIME_RETRY_SECONDS: Final = 2.0
Part = TypeVar("Part")


@dataclass(frozen=True)
class State:
    """State that all requests share."""

    config: Config
    client: Client
    logs: Client
    """Client for slow reads, with connections of its own."""
    caches: Caches
    tokens: TokenVerifier
    provider: ProviderKeys | None
    revocations: Revocations
    passwords: Passwords
    limiter: Limiter
    reads: Reads
    claims: Claims
    protocol: ProtocolVersion
    certificate: Certificate | None
    """None where the API speaks plain HTTP."""
    archive: Archive | None
    """With logs and artifacts of builds; None where they lie in ConfigMaps only."""
    parts: Mapping[type[Any], Any]
    """State that each noun keeps for itself, by its class."""

    def part(self, kind: type[Part]) -> Part:
        """Return the state of a class that a noun keeps for itself."""
        part: Part = self.parts[kind]
        return part

    async def now(self) -> datetime:
        """Return the store's time, for creation times and ages; where it is not known, ask the cluster.

        Raises:
            AwayError: it is not known to within 2 s.
            berth_core.kube.errors.UnavailableError: the cluster cannot be reached.

        """
        clock = self.client.clock
        if not clock.is_known:
            await self.client.server_date()
        if not clock.is_known:
            raise AwayError(
                "the cluster's time is not known here well enough to make anything. Try again later.",
                retry_after=TIME_RETRY_SECONDS,
            )
        return clock.now()
