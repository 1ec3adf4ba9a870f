"""Tokens that no longer count: TokenRevocations, and purges in Accounts.

Both are watched, so that a revocation takes effect on every replica at once, whoever wrote it. A replica whose view is
too old to tell refuses with AwayError, rather than accept a token that may have been revoked.
"""

import asyncio
from functools import partial
from typing import Final

from berth_api.auth.identity import Identity
from berth_api.auth.view import View
from berth_api.http.errors import AwayError, WrongTokenError
from berth_core.kube.client import Client
from berth_core.kube.errors import UnreadableError
from berth_core.kube.model import parse_time
from berth_core.kube.types import Object
from berth_core.names import IN_ADVANCE_LABEL
from berth_core.reading import at, readable, report
from berth_core.resources import Account, TokenRevocation

LONGEST_AGE: Final = 5.0
"""Seconds; a view that is older judges no token."""
SHOWN_SECONDS: Final = 5.0
"""How long the watch may take to show a write of this replica."""


class Revocations:
    """A view of all revocations, and of all accounts."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._revoked = View(
            client,
            TokenRevocation.api(),
            namespace,
            {"sha256": partial(_text, "sha256"), "in advance for": _in_advance_for},
        )
        self._accounts = View(client, Account.api(), namespace, {"user": partial(_text, "user")})

    async def run(self) -> None:
        """Keep the view current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._revoked.run())
            tasks.create_task(self._accounts.run())

    @property
    def is_synced(self) -> bool:
        """Whether tokens can be judged for the first time."""
        return self._revoked.is_synced and self._accounts.is_synced

    def need_valid(self, identity: Identity, monotonic_now: float) -> None:
        """Refuse a token that was ended. Raises WrongTokenError, and AwayError where the view is too old to tell."""
        # A known revocation stays valid, however old the view.
        if self.is_revoked(identity.digest, identity.user) or not _is_after(identity, self.valid_after(identity.user)):
            raise WrongTokenError
        if max(self._revoked.age(monotonic_now), self._accounts.age(monotonic_now)) > LONGEST_AGE:
            raise AwayError("nobody can tell whether tokens were revoked: the cluster cannot be reached. Try again.")

    def is_revoked(self, sha256: str, user: str | None) -> bool:
        """Whether a token no longer counts for this user; None: for anyone."""
        return bool(self._ends(sha256, user))

    def revoked_until(self, sha256: str, user: str | None) -> float:
        """When the last revocation of a token is deleted (seconds since the Epoch); minus infinity without one."""
        ends = readable(TokenRevocation, self._ends(sha256, user))
        return max((parse_time(one.spec.expires).timestamp() for one in ends), default=float("-inf"))

    def _ends(self, sha256: str, user: str | None) -> list[Object]:
        objects = self._revoked.cache.by("sha256", sha256)
        # A revocation without a readable user applies to anyone's token.
        return [obj for obj in objects if (whose := _text("user", obj)) == [] or user in whose]

    def valid_after(self, user: str) -> float:
        """Seconds since the Epoch before which no token of the user counts; minus infinity where no purge is known."""
        return max(map(_valid_after, self._accounts.cache.by("user", user)), default=float("-inf"))

    def in_advance(self, caller: str) -> int:
        """How many unknown tokens are revoked by a caller (``ids.user_object`` of a user) in advance."""
        return len(self._revoked.cache.by("in advance for", caller))

    async def revocation_shown(self, sha256: str, user: str | None) -> None:
        """Wait until this replica applies a revocation. Raises AwayError where that takes too long."""
        try:
            await self._revoked.until(lambda: self.is_revoked(sha256, user), SHOWN_SECONDS)
        except TimeoutError as error:
            raise _not_shown() from error

    async def valid_after_shown(self, user: str, moment: float) -> None:
        """Wait until this replica applies the end of a user's tokens. Raises AwayError where that takes too long."""
        try:
            await self._accounts.until(lambda: self.valid_after(user) >= moment, SHOWN_SECONDS)
        except TimeoutError as error:
            raise _not_shown() from error


def _is_after(identity: Identity, moment: float) -> bool:
    return moment == float("-inf") or (identity.issued is not None and identity.issued >= moment)


def _text(field: str, obj: Object) -> list[str]:
    """Text in a field of a spec, by which an object is found even if the rest is unreadable."""
    return [text] if isinstance(text := at(obj, "spec", field), str) else []


def _valid_after(account: Object) -> float:
    try:
        text = Account.parse(account).spec.tokens_valid_after
    except UnreadableError as error:
        report(error)
        return float("inf")  # it may have ended any token of its user
    return parse_time(text).timestamp() if text else float("-inf")


def _in_advance_for(obj: Object) -> list[str]:
    caller = (obj["metadata"].get("labels") or {}).get(IN_ADVANCE_LABEL)
    return [] if caller is None else [caller]


def _not_shown() -> AwayError:
    return AwayError("it is written, but has not come back from the cluster yet. Repeat the request to make sure.")
