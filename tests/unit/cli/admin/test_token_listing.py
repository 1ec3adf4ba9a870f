"""The register of tokens."""

from datetime import UTC, datetime
from typing import Any

import pytest

from berth_cli.admin.tokens import listing, records
from berth_cli.admin.tokens.listing import Seen, may
from berth_core.resources import Account, IssuedToken, IssuedTokenSpec, TokenRevocation

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
SHA = "a" * 64


def token(sha256: str = SHA, user: str = "alice", kid: str | None = "k", **spec: Any) -> IssuedToken:
    said = {"issued": "2026-05-01T00:00:00Z", "expires": "2026-06-01T00:00:00Z"} | spec
    metadata = {"name": sha256, "annotations": {"berth.dev/kid": kid} if kid else {}}
    return IssuedToken.parse({"metadata": metadata, "spec": {"sha256": sha256, "user": user} | said})


def revocation(user: str | None, sha256: str = SHA) -> TokenRevocation:
    spec = {"sha256": sha256, "user": user, "expires": "2026-06-01T00:00:00Z"}
    return TokenRevocation.parse({"metadata": {"name": "r"}, "spec": spec})


def account(after: str | None, user: str = "alice") -> Account:
    return Account.parse({"metadata": {"name": user}, "spec": {"user": user, "tokensValidAfter": after}})


@pytest.mark.parametrize(
    ("made", "revocations", "accounts", "state"),
    [
        (token(), [], [], "counts"),
        (token(), [revocation("bob"), revocation(None, "b" * 64)], [account(None)], "counts"),
        (token(), [revocation(None)], [], "revoked"),
        (token(), [revocation("bob"), revocation("alice")], [], "revoked"),
        (token(), [], [account("2026-05-01T00:00:00.000001Z")], "purged"),
        (token(), [], [account("2026-05-01T00:00:00Z")], "counts"),
        (token(), [], [account("2026-05-01T01:00:00Z", "bob")], "counts"),
        (token(expires="2026-05-01T12:00:00Z"), [revocation(None)], [], "expired"),
        (token(kid="gone"), [], [], "key removed"),
        (token(kid=None), [], [], "counts"),
    ],
)
def test_what_ended_a_token(
    made: IssuedToken, revocations: list[TokenRevocation], accounts: list[Account], state: str
) -> None:
    seen = Seen.of(revocations, accounts, frozenset({"k"}))
    assert [row.state for row in listing.rows([made], seen, NOW)] == [state]
    if state != "key removed":
        after = next((a.spec.tokens_valid_after for a in accounts if a.spec.user == "alice"), None)
        assert bool(records.still_counts([made], revocations, after, NOW)) == (state == "counts")


def test_by_user_the_newest_first() -> None:
    listed = [
        token("1" * 64, "bob"),
        token("2" * 64, "alice"),
        token("3" * 64, "alice", issued="2026-05-01T00:00:00.5Z"),
    ]
    rows = listing.rows(listed, Seen.of([], [], frozenset({"k"})), NOW)
    assert [row.sha256[0] for row in rows] == ["3", "2", "1"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({}, "read and write"),
        ({"read_only": True}, "read"),
        ({"read_only": True, "own": True}, "read, own machines"),
        ({"superuser": True}, "everything"),
        ({"superuser": True, "read_only": True}, "read everything"),
        ({"instance": "i", "types": ["a", "b"]}, "read and write, instance i, types a, b"),
    ],
)
def test_what_it_may(spec: dict[str, Any], words: str) -> None:
    times = {"issued": "2026-05-01T00:00:00Z", "expires": "2026-06-01T00:00:00Z"}
    made = IssuedTokenSpec(sha256=SHA, user="alice", **times, **spec)
    assert may(made) == words
