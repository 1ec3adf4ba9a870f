"""Contract §3: tokens of an OIDC provider beside Berth's own, and neither in the other's place."""

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from berth_core import ids
from berth_core.resources import Account

from . import process
from .conftest import Setting
from .process import Api
from .provider import ISSUER, OidcProvider, running_provider
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

WRONG = {"error_message": "wrong authorization token"}


@pytest.fixture(scope="module")
def provider() -> Iterator[OidcProvider]:
    """It is away at first."""
    with running_provider() as running:
        running.stop()
        yield running


@pytest.fixture(scope="module")
def trusting(setting: Setting, provider: OidcProvider) -> Iterator[Api]:
    """A process that trusts the provider, and is ready without it."""
    settings = setting.environment(BERTH_OIDC_ISSUER=ISSUER, BERTH_OIDC_JWKS_URL=provider.url)
    with process.running(settings, setting.folder / "trusting.log") as running:
        yield running


@pytest.fixture
async def client(trusting: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=trusting.url, timeout=20) as made:
        yield made


async def answer(
    client: httpx.AsyncClient, token: str, method: str = "GET", path: str = "/reservations"
) -> httpx.Response:
    return await client.request(method, path, headers={"Authorization": f"Bearer {token}"})


async def test_a_provider_that_is_away_is_awaited(
    client: httpx.AsyncClient, provider: OidcProvider, signer: Signer
) -> None:
    assert (await answer(client, signer.token())).status_code == 200
    early = await answer(client, provider.token())
    assert early.status_code == 503
    assert int(early.headers["Retry-After"]) >= 1
    assert (await answer(client, provider.token(), path="/workspaces")).status_code == 200
    provider.start()

    async def accepted() -> bool:
        return (await answer(client, provider.token())).status_code == 200

    await eventually(accepted)


async def test_its_users_are_others_than_ours(
    client: httpx.AsyncClient, provider: OidcProvider, signer: Signer, world: World
) -> None:
    ours = signer.token("alice", org="provider")
    claims: dict[str, Any] = {"su": True, "sc": [], "in": "x"}
    theirs = provider.token("alice", **claims)
    assert (await answer(client, theirs, "POST", "/purge")).status_code == 200
    assert (await answer(client, ours)).status_code == 200
    assert (await answer(client, theirs)).json() == WRONG
    assert (await answer(client, provider.token("alice"))).status_code == 200
    name = ids.user_object("oidc:alice")
    purged = Account.parse(await world.client.get(Account.api(), world.namespaces.access, name))
    assert purged.spec.user == "oidc:alice"


async def test_neither_speaks_for_the_other(client: httpx.AsyncClient, provider: OidcProvider, signer: Signer) -> None:
    key = provider.keys[0]
    forgeries = {
        "the provider's key, our issuer": provider.token(iss="berth"),
        "our key, the provider's issuer": signer.token(iss=ISSUER),
        "our key, the provider's issuer and kid": signer.token(iss=ISSUER, header={"kid": key.kid}),
        "a user of the provider in our token": signer.token("oidc:alice"),
        "for somebody else": provider.token(aud="another-client"),
        "expired": provider.token(exp=int(time.time()) - 1),
    }
    for name, token in forgeries.items():
        # The first with an unknown kid makes the process ask the provider.
        async def refused(token: str = token) -> bool:
            return (await answer(client, token)).status_code == 400

        await eventually(refused)
        assert (await answer(client, token)).json() == WRONG, name


async def test_what_was_known_counts_while_it_is_away(client: httpx.AsyncClient, provider: OidcProvider) -> None:
    provider.stop()
    assert (await answer(client, provider.token("bob"))).status_code == 200
    assert (await client.get("/readyz")).status_code == 200
