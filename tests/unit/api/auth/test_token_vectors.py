"""Which tokens count and which do not, and what a known token costs."""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from berth_api.auth.claims import Issuer
from berth_api.auth.jwks import KeyFile, parse
from berth_api.auth.oidc import ProviderKeys
from berth_api.auth.tokens import TokenVerifier, Trusted
from berth_api.http.errors import AwayError, WrongTokenError

from ....envtest.api.signing import write_keys
from .vectors import LIFE, OURS, PROVIDER, RIGHT, SECOND, SHARED, THEIRS, WRONG, now, provided


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> TokenVerifier:
    path = tmp_path_factory.mktemp("keys") / "jwks.json"
    write_keys(path, OURS, SECOND)
    provider = ProviderKeys(PROVIDER)
    provider.current = parse(json.dumps({"keys": [THEIRS.jwk(), SHARED.jwk()]}).encode())
    trusted = Trusted(Issuer(PROVIDER.issuer, PROVIDER.audience, LIFE, user_prefix="oidc:"), provider)
    return TokenVerifier(KeyFile(path), Issuer("berth", "berth", LIFE, foreign_prefix="oidc:"), trusted)


def verify(verifier: TokenVerifier, token: str) -> Any:
    return verifier.verify(token, now=time.time(), monotonic_now=time.monotonic())


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_a_token_that_does_not_count(verifier: TokenVerifier, make: Callable[[], str]) -> None:
    token = make()
    for _ in range(2):  # what was refused once is not remembered as good
        with pytest.raises(WrongTokenError):
            verify(verifier, token)


@pytest.mark.parametrize("make", RIGHT.values(), ids=RIGHT.keys())
def test_a_token_that_counts(verifier: TokenVerifier, make: Callable[[], str]) -> None:
    assert verify(verifier, make()).user == "alice"


def test_there_are_many_vectors() -> None:
    assert len(WRONG) >= 60


def test_no_claim_of_berths_own_counts_in_a_providers_token(verifier: TokenVerifier) -> None:
    ours: dict[str, Any] = {"su": True, "org": "lab", "in": "x", "sc": [], "wt": [], "opt": {"expire_d": 1}}
    found = verify(verifier, provided(**ours))
    assert (found.user, found.superuser, found.organisation, found.instance) == ("oidc:alice", False, None, None)
    assert (found.read_only, found.types, found.expire_d) == (False, None, None)
    assert verify(verifier, provided(SHARED)).user == "oidc:alice"


def test_without_keys_nobody_can_tell(tmp_path: Path) -> None:
    own = Issuer("berth", "berth", LIFE)
    without = TokenVerifier(KeyFile(tmp_path / "none"), own, Trusted(own, ProviderKeys(PROVIDER)))
    with pytest.raises(AwayError):
        verify(without, OURS.token())
    assert not without.is_ready(time.monotonic())


def test_a_key_that_vanishes_ends_its_tokens(tmp_path: Path) -> None:
    write_keys(tmp_path / "jwks.json", OURS, SECOND)
    verifier = TokenVerifier(KeyFile(tmp_path / "jwks.json"), Issuer("berth", "berth", LIFE))
    token = SECOND.token()
    assert verifier.verify(token, now=now(), monotonic_now=0).user == "alice"
    write_keys(tmp_path / "jwks.json", OURS)
    with pytest.raises(WrongTokenError):
        verifier.verify(token, now=now(), monotonic_now=2)
    assert verifier.verify(OURS.token(), now=now(), monotonic_now=2).user == "alice"


def test_a_known_token_is_not_verified_anew(verifier: TokenVerifier, tmp_path: Path) -> None:
    write_keys(tmp_path / "jwks.json", OURS)
    alone = TokenVerifier(KeyFile(tmp_path / "jwks.json"), Issuer("berth", "berth", LIFE))
    for either in (verifier, alone):
        token = OURS.token()
        assert verify(either, token) is verify(either, token)
    token = provided()
    assert verify(verifier, token) is verify(verifier, token)


def test_a_known_token_ends_when_it_expires(verifier: TokenVerifier) -> None:
    token, later = OURS.token(exp=now() + 100), now() + 100
    assert verify(verifier, token).user == "alice"
    with pytest.raises(WrongTokenError):
        verifier.verify(token, now=later, monotonic_now=time.monotonic())


def test_a_known_token_costs_little(verifier: TokenVerifier, record_property: Callable[[str, object], None]) -> None:
    tokens = [OURS.token(f"user-{number}") for number in range(50)]
    for token in tokens:
        verify(verifier, token)
    spent = []
    for token in tokens * 40:
        begun = time.perf_counter()
        verify(verifier, token)
        spent.append(time.perf_counter() - begun)
    median = statistics.median(spent) * 1000
    record_property("median milliseconds", median)
    assert median <= 0.3  # also on a busy machine
