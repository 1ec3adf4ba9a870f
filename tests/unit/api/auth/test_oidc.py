"""Keys of an OIDC provider: rotation, its absence, and answers that are none."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from berth_api.auth.claims import Issuer
from berth_api.auth.identity import Identity
from berth_api.auth.jwks import KeyFile, parse_published
from berth_api.auth.oidc import LARGEST_SET, Pauses, ProviderKeys
from berth_api.auth.tokens import TokenVerifier, Trusted
from berth_api.config import Provider
from berth_api.http.errors import AwayError, WrongTokenError

from ....envtest.api.provider import ISSUER, OidcProvider, running_provider
from ....envtest.api.signing import Signer

QUICK = Pauses(regular=0.05, after_unknown_kid=0.2, first_retry=0.05, longest_retry=0.1)
ON_DEMAND = Pauses(regular=600, after_unknown_kid=0.2, first_retry=0.05, longest_retry=0.1)
SECONDS = 20.0


@pytest.fixture
def provider() -> Iterator[OidcProvider]:
    with running_provider() as running:
        yield running


@asynccontextmanager
async def following(provider: OidcProvider, pauses: Pauses) -> AsyncIterator[ProviderKeys]:
    keys = ProviderKeys(Provider(ISSUER, "berth", provider.url, "oidc:", None), pauses)
    task = asyncio.create_task(keys.run())
    try:
        yield keys
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def until(holds: Callable[[], bool]) -> None:
    """Look again and again until something holds that nobody reports."""
    async with asyncio.timeout(SECONDS):
        while not holds():  # noqa: ASYNC110 (the provider's thread tells the loop nothing)
            await asyncio.sleep(0.01)


async def asked_again(provider: OidcProvider) -> None:
    """Wait until an answer has been read: until the request after the next one."""
    wanted = len(provider.requests) + 2
    await until(lambda: len(provider.requests) >= wanted)


def verifier(keys: ProviderKeys, folder: Path) -> Callable[[str], Identity]:
    trusted = Trusted(Issuer(ISSUER, "berth", 3600, user_prefix="oidc:"), keys)
    made = TokenVerifier(KeyFile(folder / "none"), Issuer("berth", "berth", 3600, foreign_prefix="oidc:"), trusted)
    return lambda token: made.verify(token, now=time.time(), monotonic_now=time.monotonic())


async def test_a_rotation_is_followed_when_a_token_shows_it(provider: OidcProvider, tmp_path: Path) -> None:
    async with following(provider, ON_DEMAND) as keys:
        verify = verifier(keys, tmp_path)
        first = provider.token()
        with pytest.raises(AwayError):
            verify(first)
        await until(lambda: bool(keys.current))
        assert verify(first).user == "oidc:alice"
        provider.rotate()
        second = provider.token("bob")

        def accepted() -> bool:
            try:
                return verify(second).user == "oidc:bob"
            except (AwayError, WrongTokenError):
                return False

        await until(accepted)
        assert verify(first).user == "oidc:alice"
        assert len(provider.requests) == 2
        provider.rotate()  # now the first key is published no more
        await until(lambda: _is_refused(verify, provider.token()) is False)
        with pytest.raises((WrongTokenError, AwayError)):
            verify(first)


def _is_refused(verify: Callable[[str], Identity], token: str) -> bool:
    try:
        verify(token)
    except (AwayError, WrongTokenError):
        return True
    return False


async def test_unknown_kids_make_few_requests(provider: OidcProvider, tmp_path: Path) -> None:
    forger = OidcProvider()
    async with following(provider, Pauses(regular=600, after_unknown_kid=600)) as keys:
        verify = verifier(keys, tmp_path)
        await until(lambda: bool(keys.current))
        for _ in range(50):
            with pytest.raises(WrongTokenError):
                verify(forger.token())
        assert len(provider.requests) == 1


async def test_the_last_good_keys_stay_while_the_provider_is_away(provider: OidcProvider, tmp_path: Path) -> None:
    async with following(provider, QUICK) as keys:
        verify = verifier(keys, tmp_path)
        await until(lambda: bool(keys.current))
        good, token = keys.current, provider.token()
        for answer in (
            (500, {}, b""),
            (302, {"Location": provider.url + "2"}, b""),
            (200, {}, b"{"),
            (200, {}, b'{"keys": []}'),
            (200, {}, json.dumps({"keys": [], "padding": "x" * LARGEST_SET}).encode()),
        ):
            provider.answer = answer
            await asked_again(provider)
            assert keys.current is good
            assert verify(token).user == "oidc:alice"
        assert set(provider.requests) == {"/jwks"}
        provider.stop()
        assert verify(token).user == "oidc:alice"
        provider.answer = None
        provider.rotate()
        provider.start()
        await until(lambda: keys.current is not good)
        assert verify(provider.token()).user == "oidc:alice"


async def test_a_provider_that_comes_late_is_found(tmp_path: Path) -> None:
    with running_provider() as late:
        late.stop()
        async with following(late, ON_DEMAND) as keys:
            verify = verifier(keys, tmp_path)
            with pytest.raises(AwayError):
                verify(late.token())
            late.start()
            await until(lambda: bool(keys.current))
            assert verify(late.token()).user == "oidc:alice"


def test_keys_that_cannot_be_used_are_passed_over() -> None:
    good, twice = Signer(kid="good").jwk(), Signer(kid="twice").jwk()
    bad = [{"kty": "RSA"}, good | {"kid": 1}, good | {"kid": "n", "n": 5}, good | {"kid": "e", "e": "AA"}, 7, None]
    listed = [good, *bad, twice, Signer(kid="twice").jwk()]
    assert parse_published(json.dumps({"keys": listed}).encode()).keys() == {"good"}
