"""Slots enforce a type's ``limits.maxPerUser`` exactly, even when several processes take leases at the same moment.

Leases count by the user's name, in all workspace namespaces. A slot stands for a lease that is about to be taken: an
entry in the status of the user's Account. It is made by compare-and-swap while slots and leases together are below the
limit, and dropped once the lease was taken or refused. So concurrent takers see each other, and the end of a lease
frees its place by itself.

Others drop the slot of a taker that stood still. The taker's clock does not show it: the clock of a paused machine
stands still too. So a lease is within the limit if its slot is still there after the lease was taken. A lease whose
slot is gone is used only if the others' slots and leases leave room (:func:`need_room`): later takers of a slot see
that lease. Otherwise it is given back.

The API process and the operator take leases through :class:`Claimant`. The operator drops the slot of a dead taker
once it has seen the slot for ``KEPT_SECONDS``. Types without a limit need no slots.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

import structlog

from berth_core import ids
from berth_core.kube import errors
from berth_core.kube.client import Client
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.resources import Account, AccountSpec, WorkspaceDeployment, WorkspaceType, manifest
from berth_core.resources.account import Slot

log = structlog.get_logger(__name__)

KEPT_SECONDS: Final = 25.0
"""Seconds after which the operator drops a slot that it has seen: its taker is gone."""
PATIENCE_SECONDS: Final = 8.0
"""Seconds for which a writer retries while others write the same Account."""
LONGEST_BACK_OFF: Final = 0.05
MOST_SLOTS: Final = 1000
"""Entries that an Account can hold."""
Undo = Callable[[str, Lease], Awaitable[None]]
"""Namespace and lease."""


@dataclass(frozen=True)
class Places:
    """Namespaces of Accounts and of leases."""

    access: str
    workspaces: tuple[str, ...]


@dataclass(frozen=True)
class Quota:
    """Most leases of a type (typeName) for one user."""

    type: str
    most: int

    @classmethod
    def of(cls, kind: WorkspaceType) -> Self | None:
        """Quota of a type; None where it has none."""
        most = kind.spec.limits.max_per_user
        return cls(kind.spec.type_name, most) if most is not None else None


class NoneLeftError(Exception):
    """The user is at the quota. ``passing``: some of the places are slots, which may be dropped again."""

    def __init__(self, quota: Quota, *, passing: bool) -> None:
        super().__init__(f"no more than {quota.most} active instances of this type for one user")
        self.quota = quota
        self.passing = passing


async def held(client: Client, places: Places, type_name: str, user: str) -> frozenset[str]:
    """Instances (public ids) that hold a lease of the type for the user, read live."""
    fields = {"status.lease.user": user, "spec.type": type_name}
    lists = await asyncio.gather(
        *(client.list(WorkspaceDeployment.api(), namespace, fields=fields) for namespace in places.workspaces)
    )
    return frozenset(obj["status"]["lease"]["instance"] for objects, _ in lists for obj in objects)


class Claimant:
    """Takes leases for one instance of a user, within the user's quotas.

    ``undo`` gives back a lease that was taken but exceeds the quota. It must not free the deployment before everything
    of the lease's epoch is gone.

    Use it as ``async with``: the slot is dropped at the end, or earlier by :meth:`close`. One :meth:`take` at a time.
    """

    def __init__(
        self,
        client: Client,
        places: Places,
        *,
        instance: str,
        user: str,
        undo: Undo,
    ) -> None:
        self._undo = undo
        self._client = client
        self._places = places
        self._instance = instance
        self._user = user
        self._account = ids.user_object(user)
        self._slot: Quota | None = None
        self._written = False
        self._closing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def take(
        self,
        quota: Quota | None,
        namespace: str,
        deployment: str,
        *,
        now: datetime,
        seen: WorkspaceDeployment | None = None,
        after: int | None = None,
        owner: bool = False,
    ) -> Lease:
        """Take the lease of a deployment; ``quota`` is that of its type, None where it has none. Idempotent.

        ``seen``, ``after`` and ``owner`` are as for :func:`berth_core.leases.leasing.take`.

        Raises:
            NoneLeftError: the user is at the quota.
            berth_core.leases.leasing.BusyError: the deployment cannot be had.
            berth_core.kube.errors.ConflictError: it has changed since ``seen``.
            berth_core.kube.errors.NotFoundError: no such deployment.
            berth_core.kube.errors.UnavailableError: the cluster cannot be reached, others kept writing, or this
                process stood still until its slot was dropped.

        """
        if quota is not None and self._slot != quota:
            await self._take_slot(quota)
        lease = await leasing.take(
            self._client,
            namespace,
            deployment,
            instance=self._instance,
            user=self._user,
            now=now,
            seen=seen,
            after=after,
            owner=owner,
        )
        if quota is not None:
            await self._confirm(quota, namespace, lease)
        return lease

    async def close(self) -> None:
        """Drop the slot. If that fails, the operator drops it later; no lease counts twice meanwhile."""
        async with self._closing:
            if not self._written:
                return
            try:
                await drop(self._client, self._places.access, self._account, frozenset({self._instance}))
            except errors.ClusterError as error:
                log.warning("slot left to the operator", instance=self._instance, error=error.message)
            self._slot, self._written = None, False

    async def _take_slot(self, quota: Quota) -> None:
        attempts = _Attempts(f"others kept writing the status of Account {self._account}")
        while await attempts.another():
            account = await need_room(self._client, self._places, quota, user=self._user, instance=self._instance)
            others = [s for s in account.status.slots if s.instance != self._instance]
            if len(others) >= MOST_SLOTS:
                raise errors.UnavailableError(f"too many leases are being taken for {self._user}")
            mine, self._written = Slot(instance=self._instance, type=quota.type), True
            if mine in account.status.slots or await _write(self._client, account, [*others, mine]):
                self._slot = quota
                return

    async def _confirm(self, quota: Quota, namespace: str, lease: Lease) -> None:
        """Check that the slot still exists after the lease was taken; otherwise undo the lease and raise."""
        try:
            account = await _read(self._client, self._places, self._user)
            if Slot(instance=self._instance, type=quota.type) not in account.status.slots:
                raise errors.UnavailableError(f"a slot of {self._user} was dropped before its lease was taken")
        except errors.ClusterError:
            await self._undo(namespace, lease)
            raise


async def need_room(client: Client, places: Places, quota: Quota, *, user: str, instance: str) -> Account:
    """Check that an instance is within the quota, and return the user's Account as read before the leases.

    Raises:
        NoneLeftError: the user is at the quota without that instance.
        berth_core.kube.errors.UnavailableError: the cluster cannot be reached.

    """
    account = await _read(client, places, user)
    # After the Account, never before: of a taker that has dropped its slot by then, the lease is seen.
    leases = await held(client, places, quota.type, user) - {instance}
    pending = {slot.instance for slot in account.status.slots if slot.type == quota.type} - {instance}
    if len(leases | pending) >= quota.most:
        raise NoneLeftError(quota, passing=len(leases) < quota.most)
    return account


async def _read(client: Client, places: Places, user: str) -> Account:
    """Read the user's Account; create it where there is none."""
    kind, namespace, name = Account.api(), places.access, ids.user_object(user)
    try:
        return Account.parse(await client.get(kind, namespace, name))
    except errors.NotFoundError:
        body = manifest(Account, namespace, name, AccountSpec(user=user))
    try:
        return Account.parse(await client.create(kind, namespace, body))
    except errors.AlreadyExistsError:
        return Account.parse(await client.get(kind, namespace, name))


async def drop(client: Client, access: str, account: str, instances: frozenset[str]) -> None:
    """Drop the slots of some instances from an Account (its name). Idempotent.

    Raises:
        berth_core.kube.errors.UnavailableError: the cluster cannot be reached, or others kept writing.

    """
    attempts = _Attempts(f"others kept writing the status of Account {account}")
    while await attempts.another():
        try:
            holder = Account.parse(await client.get(Account.api(), access, account))
        except errors.NotFoundError:
            return
        slots = [slot for slot in holder.status.slots if slot.instance not in instances]
        if len(slots) == len(holder.status.slots) or await _write(client, holder, slots):
            return


async def _write(client: Client, account: Account, slots: Sequence[Slot]) -> bool:
    body = {
        "metadata": {"resourceVersion": account.metadata.resource_version},
        "status": {"slots": [slot.wire() for slot in slots] or None, "taking": True if slots else None},
    }
    try:
        await client.patch(Account.api(), account.metadata.namespace, account.metadata.name, body, subresource="status")
    except (errors.ConflictError, errors.NotFoundError):
        return False
    return True


class _Attempts:
    """Retries until PATIENCE_SECONDS are over, with growing pauses in which others may finish."""

    def __init__(self, complaint: str) -> None:
        self._complaint = complaint
        self._end = time.monotonic() + PATIENCE_SECONDS
        self._pause = 0.0

    async def another(self) -> bool:
        """Wait, and return True to try again; raises UnavailableError when the time is over."""
        if self._pause:
            if time.monotonic() > self._end:
                raise errors.UnavailableError(self._complaint)
            await asyncio.sleep(random.uniform(0.0, self._pause))  # noqa: S311 (jitter)
        self._pause = min(max(2 * self._pause, 0.004), LONGEST_BACK_OFF)
        return True
