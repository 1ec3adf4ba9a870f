"""Passwords of accounts: argon2id hashes in Secrets, checked so that answers tell nothing but right or wrong.

An unknown user, a user without a password and a wrong password cost the same requests and the same computation, and
count alike towards the limits. Passwords and hashes are never logged.
"""

import asyncio
import base64
import binascii
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network
from typing import Final

import structlog
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter

from berth_api.http.client_address import Address
from berth_api.http.errors import ApiError, AwayError
from berth_core import ids, names
from berth_core.kube import errors as cluster
from berth_core.kube.client import Client
from berth_core.kube.types import Kind
from berth_core.reading import readable
from berth_core.resources import Account

log = structlog.get_logger(__name__)

SECRETS: Final = Kind("v1", "secrets")
WINDOW_MINUTES: Final = 15
PER_PAIR: Final = RateLimitItemPerMinute(10, WINDOW_MINUTES, namespace="passwords-user")
PER_PEER: Final = RateLimitItemPerMinute(20, WINDOW_MINUTES, namespace="passwords-peer")
PER_SITE: Final = RateLimitItemPerMinute(60, WINDOW_MINUTES, namespace="passwords-site")
"""Failures in a window: of a user from one network, of a network, and of all networks of an IPv6 /48 together."""
PER_USER: Final = RateLimitItemPerMinute(2**31, WINDOW_MINUTES, namespace="passwords-everywhere")
"""Counts failures of a user from all networks. They slow checks down, and refuse nothing."""
UNHURRIED: Final = 10
"""Failures of a user up to which a check is not slowed down."""
FIRST_DELAY: Final = 0.1
SLOWEST: Final = 5.0
"""Seconds that a check waits; each failure doubles the first."""
MOST_AT_ONCE: Final = 16
"""Pairs that are checked or wait for it, some 0.1 s each. More are refused, so that waiting times stay short."""
MOST_OF_SUSPECTS: Final = MOST_AT_ONCE // 2
"""Share of these for networks with failures (their own or their /48's); the rest is for networks without."""
MOST_OF_A_NETWORK: Final = 4
"""Checks of one network at a time, slowed-down ones included, so that no network blocks another."""
Limits = tuple[tuple[RateLimitItem, str], ...]
LONGEST_USER: Final = 253
LONGEST_PASSWORD: Final = 1024
"""Characters."""


class AuthenticationFailedError(ApiError):
    """400: the credentials are not valid."""

    def __init__(self) -> None:
        super().__init__("authentication failed")


class ThrottledError(ApiError):
    """429: too many wrong passwords."""

    status = 429


@dataclass(frozen=True)
class Pair:
    """User and password as a client claims them."""

    user: str
    password: str

    def __repr__(self) -> str:
        return f"Pair({self.user!r})"

    @property
    def is_possible(self) -> bool:
        """Whether an account could have such a name and password."""
        return 0 < len(self.user) <= LONGEST_USER and self.user.isprintable() and len(self.password) <= LONGEST_PASSWORD


class Passwords:
    """Checks pairs one after the other, since each check takes much memory (argon2id)."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._hasher = PasswordHasher()
        self._dummy: str | None = None
        self._one_at_a_time = asyncio.Lock()
        self._under_way = 0
        self._networks: Counter[str] = Counter()
        self._failures = FixedWindowRateLimiter(MemoryStorage())

    async def need_right(self, pair: Pair, peer: Address | None) -> None:
        """Refuse all but the right password of a user.

        This replica counts failures for each network (a peer; of IPv6, each /64 and each /48) and each user there.
        After too many of them, it refuses the right password there too, so that guessing learns nothing more. From
        elsewhere the password is still checked, though later, unless too many networks without a failure ask at this
        moment.

        Raises:
            AuthenticationFailedError: it is not right.
            ThrottledError: there were too many failures.
            AwayError: too many ask at this moment.

        """
        networks, user = _networks(peer), ids.user_object(pair.user)
        network = networks[0]
        if self._networks[network] >= MOST_OF_A_NETWORK:
            raise _busy()
        self._networks[network] += 1
        try:
            places: Limits = tuple(zip((PER_PEER, PER_SITE), networks, strict=False))
            limits = ((PER_PAIR, f"{user} {network}"), *places)
            await self._need_tries(limits)
            await asyncio.sleep(delay(await self._failed(PER_USER, user)))
            failed = [await self._failed(item, whose) for item, whose in places]
            if self._under_way >= (MOST_OF_SUSPECTS if any(failed) else MOST_AT_ONCE):
                raise _busy()
            self._under_way += 1
            try:
                await self._need_right(pair, (*limits, (PER_USER, user)))
            finally:
                self._under_way -= 1
        finally:
            self._networks[network] -= 1
            if not self._networks[network]:
                del self._networks[network]

    async def _failed(self, item: RateLimitItem, whose: str) -> int:
        return item.amount - (await self._failures.get_window_stats(item, whose)).remaining

    async def _need_right(self, pair: Pair, limits: Limits) -> None:
        hashed = await self._hash_of(pair.user) if pair.is_possible else None
        async with self._one_at_a_time:
            await self._need_tries(limits)  # earlier checks may have failed meanwhile
            if not await asyncio.to_thread(self._is_right, hashed, pair.password) or hashed is None:
                for item, whose in limits:
                    await self._failures.hit(item, whose)
                raise AuthenticationFailedError

    async def _need_tries(self, limits: Limits) -> None:
        for item, whose in limits:
            if not await self._failures.test(item, whose):
                until = (await self._failures.get_window_stats(item, whose)).reset_time
                wait = max(1.0, until - time.time())
                raise ThrottledError("too many wrong passwords. Try again later.", retry_after=wait)

    async def _hash_of(self, user: str) -> str | None:
        # Read live, so that a password counts as soon as it is set. Unknown users cost as many requests as known ones.
        objects, _ = await self._client.list(Account.api(), self._namespace, fields={"spec.user": user})
        accounts = sorted(readable(Account, objects), key=lambda a: (a.metadata.creation_timestamp, a.metadata.name))
        refs = [a.spec.password_secret_ref.name for a in accounts if a.spec.password_secret_ref is not None]
        name = refs[0] if refs else names.password_secret(ids.user_object(user))
        try:
            secret = await self._client.get(SECRETS, self._namespace, name)
        except cluster.NotFoundError:
            return None
        if not refs:
            return None
        try:
            return base64.b64decode((secret.get("data") or {})[names.PASSWORD_HASH], validate=True).decode("ascii")
        except (KeyError, binascii.Error, UnicodeDecodeError):
            log.error("a Secret holds no password hash: set the password again", secret=name, user=user)
            return None

    def _is_right(self, hashed: str | None, password: str) -> bool:
        if self._dummy is None:
            self._dummy = self._hasher.hash(secrets.token_urlsafe())
        try:
            return self._hasher.verify(hashed or self._dummy, password)
        except VerificationError:
            return False
        except InvalidHashError:
            log.error("a Secret holds no argon2 hash: set the password again")
            return False


def delay(failures: int) -> float:
    """Seconds that a check waits after so many failures of its user. Pure."""
    if failures < UNHURRIED:
        return 0.0
    return float(min(FIRST_DELAY * 2 ** min(failures - UNHURRIED, 16), SLOWEST))


def _busy() -> AwayError:
    return AwayError("too many passwords are being checked. Try again later.", retry_after=5)


def _networks(peer: Address | None) -> tuple[str, ...]:
    # The owner of an IPv6 address has all of its /64, and may have its /48 as easily.
    if isinstance(peer, IPv6Address):
        return tuple(str(IPv6Network((peer, length), strict=False)) for length in (64, 48))
    return (str(peer),)
