"""Elects the leader by a ``coordination.k8s.io`` Lease named ``berth-operator`` in the release's namespace.

The holder renews every RENEW_SECONDS. It may write for DEADLINE_SECONDS from the moment at which its last
successful renewal was *sent*, on its own clock since boot; another replica takes over when it has seen no renewal
for LEASE_SECONDS on its own clock. The difference is the time that a write under way has left to arrive.

The clock counts while a machine is suspended, but may stand still while a hypervisor has paused it. A former leader
then takes itself for the leader; the order of its writes (ADR 0024) and its term fence what it sends.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

import structlog

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.errors import AlreadyExistsError, ClusterError, ConflictError, NotFoundError
from berth_core.kube.swap import swap
from berth_core.kube.types import Object
from berth_core.leases.protocol import LEADER, need_known
from berth_operator.engine import metrics
from berth_operator.errors import NotLeaderError
from berth_operator.kinds import LEASES
from berth_operator.leadership.availability import Steadiness

log = structlog.get_logger(__name__)

SPOKEN: Final = {names.PROTOCOL_ANNOTATION: str(names.PROTOCOL)}
LEASE_SECONDS: Final = 7
DEADLINE_SECONDS: Final = 5.0
RENEW_SECONDS: Final = 1.5
LOOK_SECONDS: Final = 0.5
REQUEST_SECONDS: Final = 2.0


def since_boot() -> float:
    """Seconds since the machine booted, those in which it was suspended too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leadership:
    """The claim of this process to lead. ``check`` stops every write of one that does not."""

    def __init__(
        self,
        namespace: str,
        identity: str,
        steadiness: Steadiness | None = None,
        clock: Callable[[], float] = since_boot,
    ) -> None:
        self._namespace = namespace
        # A process that was restarted in the same pod is another candidate.
        self.identity = f"{identity}_{secrets.token_hex(4)}"
        self._steadiness = steadiness or Steadiness()
        self._clock = clock
        self._deadline = 0.0
        self._seen: tuple[str, str] | None = None
        self._seen_at = 0.0
        self._client: Client | None = None
        self.term = 0
        """resourceVersion of the write that made this process the leader: greater than that of every term before, also
        where the Lease was deleted in between."""

    @property
    def held(self) -> bool:
        """Whether this process leads now."""
        return self._clock() < self._deadline

    def check(self) -> None:
        """Raise NotLeaderError unless this process leads now."""
        if not self.held:
            raise NotLeaderError("the lease of the leader was not renewed in time")

    async def confirm(self) -> None:
        """Read live who leads.

        Raises:
            NotLeaderError: another does, so that this process stops leading.
            ClusterError: the cluster cannot be asked.

        """
        if self._client is None or self._is_lost(await self._client.get(LEASES, self._namespace, LEADER)):
            raise NotLeaderError("another leads")

    async def run(self, client: Client, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work`` whenever this process leads, until cancelled; the lease is given up then.

        ``client`` must not have ``check`` before its writes: renewing is what makes it pass.
        """
        self._client = client
        try:
            while True:
                version = await self._acquired(client)
                self.term = int(version)
                log.info("leading", identity=self.identity, term=self.term)
                self._steadiness.broke()
                self._steadiness.answered(datetime.now(UTC))
                metrics.LEADING.set(1)
                task = asyncio.ensure_future(work())
                try:
                    await self._keep(client, version, task)
                finally:
                    metrics.LEADING.set(0)
                    task.cancel()
                    await asyncio.gather(task, return_exceptions=True)
                log.warning("leadership lost", identity=self.identity)
        finally:
            await self._release(client)

    async def _acquired(self, client: Client) -> str:
        """Wait until this process leads. An attempt is ended where this is cancelled: it may have taken the lease."""
        while True:
            attempt = asyncio.ensure_future(self._attempt(client))
            try:
                version = await asyncio.shield(attempt)
            except asyncio.CancelledError:
                await asyncio.wait([attempt])
                raise
            if version is not None:
                return version
            await asyncio.sleep(LOOK_SECONDS)

    async def _attempt(self, client: Client) -> str | None:
        """Try for at most REQUEST_SECONDS; an error of the cluster is logged."""
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                return await self._try(client)
        except (ClusterError, TimeoutError) as error:
            log.warning("cannot ask for the leader's lease", error=str(error) or type(error).__name__)
            return None

    async def _try(self, client: Client) -> str | None:
        """Take the lease where nobody holds it; its resourceVersion, or None."""
        sent = self._clock()
        try:
            lease = await client.get(LEASES, self._namespace, LEADER)
        except NotFoundError:
            return await self._create(client, sent)
        need_known(lease)
        spec = lease.get("spec") or {}
        record = (spec.get("holderIdentity") or "", spec.get("renewTime") or "")
        if record != self._seen:
            self._seen, self._seen_at = record, sent
        if record[0] not in ("", self.identity) and sent - self._seen_at < LEASE_SECONDS:
            return None
        transitions = int(spec.get("leaseTransitions") or 0) + 1
        return await self._write(client, lease["metadata"]["resourceVersion"], transitions)

    async def _create(self, client: Client, sent: float) -> str | None:
        metadata = {"name": LEADER, "annotations": SPOKEN}
        body = {"apiVersion": LEASES.api_version, "kind": "Lease", "metadata": metadata, "spec": self._spec(0)}
        try:
            answer = await client.create(LEASES, self._namespace, body)
        except AlreadyExistsError:
            return None
        self._deadline = sent + DEADLINE_SECONDS
        return str(answer["metadata"]["resourceVersion"])

    async def _write(self, client: Client, version: str, transitions: int | None = None) -> str | None:
        sent = self._clock()
        metadata = {"resourceVersion": version, "annotations": SPOKEN}
        body = {"metadata": metadata, "spec": self._spec(transitions)}
        try:
            answer = await client.patch(LEASES, self._namespace, LEADER, body)
        except ConflictError:
            return None
        self._deadline = sent + DEADLINE_SECONDS
        return str(answer["metadata"]["resourceVersion"])

    async def _keep(self, client: Client, version: str | None, work: asyncio.Future[None]) -> None:
        """Renew until the deadline passes or somebody else has the lease; an error of the work is raised.

        Work that was kept from a write since this process does not lead any more has not failed.
        """
        while self.held:
            await asyncio.wait([work], timeout=RENEW_SECONDS)
            if work.done():
                if isinstance(work.exception(), NotLeaderError):
                    break
                return work.result()
            try:
                async with asyncio.timeout(REQUEST_SECONDS):
                    version = await self._renewed(client, version)
            except (ClusterError, TimeoutError) as error:
                log.warning("cannot renew the leader's lease", error=str(error) or type(error).__name__)
                self._steadiness.broke()
                version = None
            else:
                self._steadiness.answered(datetime.now(UTC))
        self._deadline = 0.0

    async def _renewed(self, client: Client, version: str | None) -> str | None:
        """Renew at the version known, or at the live one where that is another; None where somebody else leads.

        A version that is not the live one may be the work of a renewal whose answer was lost.
        """
        while True:
            if version is None:
                lease = await client.get(LEASES, self._namespace, LEADER)
                if self._is_lost(lease):
                    return None
                version = str(lease["metadata"]["resourceVersion"])
            if (version_now := await self._write(client, version)) is not None:
                return version_now
            version = None

    def _is_lost(self, lease: Object) -> bool:
        """Whether a live read shows that another leads: then this process does no more."""
        if (lease.get("spec") or {}).get("holderIdentity") == self.identity:
            return False
        self._deadline = 0.0
        return True

    async def _release(self, client: Client) -> None:
        """Give the lease up, so that another replica need not wait for it to run out."""
        if not self.held:
            return
        self._deadline = 0.0
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                await swap(lambda: self._give_up(client), "the leader's lease")
        except (ClusterError, TimeoutError) as error:
            log.warning("cannot give up the leader's lease", error=str(error) or type(error).__name__)

    async def _give_up(self, client: Client) -> None:
        """Give it up as it is now. Raises ConflictError where a renewal that was under way came in between."""
        lease = await client.get(LEASES, self._namespace, LEADER)
        if lease["spec"].get("holderIdentity") == self.identity:
            body = {
                "metadata": {"resourceVersion": lease["metadata"]["resourceVersion"]},
                "spec": {"holderIdentity": ""},
            }
            await client.patch(LEASES, self._namespace, LEADER, body)
            log.info("gave up leading", identity=self.identity)

    def _spec(self, transitions: int | None) -> Object:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        spec: Object = {"holderIdentity": self.identity, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": now}
        if transitions is not None:
            spec |= {"acquireTime": now, "leaseTransitions": transitions}
        return spec
