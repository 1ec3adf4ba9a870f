"""Tokens that do not count any more: TokenRevocations, and what Accounts say of their users' tokens."""

import asyncio

from berth_api.auth.identity import Identity
from berth_api.errors import WrongTokenError
from berth_core.cache import Cache
from berth_core.client import Client
from berth_core.resources import Account, TokenRevocation


class Revocations:
    """A view of all revocations, kept current by watches."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._revocations = Cache(client, TokenRevocation.api(), [namespace])
        self._accounts = Cache(client, Account.api(), [namespace])

    async def run(self) -> None:
        """Keep the view current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._revocations.run())
            tasks.create_task(self._accounts.run())

    @property
    def is_synced(self) -> bool:
        """Whether everything has been listed once."""
        return self._revocations.is_synced and self._accounts.is_synced

    def need_valid(self, identity: Identity) -> None:
        """Refuse a token that was revoked. Raises WrongTokenError, and AwayError where the view is too old to tell."""
        for obj in self._revocations:
            spec = TokenRevocation.parse(obj).spec
            if spec.sha256 == identity.digest and spec.user in (None, identity.user):
                raise WrongTokenError
