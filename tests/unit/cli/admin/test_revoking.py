"""Which token is meant, and how long its revocation is kept."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from berth_cli.admin.keys import material
from berth_cli.admin.tokens import claims as tokens
from berth_cli.admin.tokens.revoking import MOST_KEPT, Target, Wish, target, until

NOW = datetime(2026, 5, 1, tzinfo=UTC)
KID, PEM = material.new_signing_key()
SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def signed(**claims: Any) -> str:
    return tokens.sign({"sub": "alice", **claims}, kid=KID, pem=PEM)


@pytest.mark.parametrize("text", [SHA, SHA.upper(), f"{SHA}\n", SHA[:12], SHA[:8]])
def test_digits_are_a_digest_or_its_beginning(text: str) -> None:
    assert target(text) == Target(text.strip().lower())


@pytest.mark.parametrize(
    ("claims", "exp"), [({"exp": 5}, 5), ({"exp": 5.9}, 5), ({}, None), ({"exp": "soon"}, None), ({"exp": 1e999}, None)]
)
def test_a_token_says_when_it_expires(claims: dict[str, Any], exp: int | None) -> None:
    token = signed(**claims)
    assert target(f"{token}\n") == Target(tokens.digest(token), exp)


@pytest.mark.parametrize("text", ["", SHA[:7], SHA + "0", "alice", "a.b.c", "é.é.é", signed()[1:]])
def test_anything_else_is_neither(text: str) -> None:
    with pytest.raises(ValueError, match="neither a token nor a SHA-256"):
        target(text)


@given(st.text())
def test_no_other_text_is_taken_for_a_digest(text: str) -> None:
    assume(set(text.strip().lower()) - set("0123456789abcdef"))
    with pytest.raises(ValueError, match="neither"):
        target(text)


DAY = timedelta(days=1)
TOMORROW = int((NOW + DAY).timestamp())


@pytest.mark.parametrize(
    ("wish", "recorded", "end"),
    [
        (Wish(Target(SHA, TOMORROW), None, DAY * 3), "2026-05-09T00:00:00Z", NOW + DAY * 8),
        (Wish(Target(SHA, TOMORROW), None, DAY * 3), None, NOW + DAY),
        (Wish(Target(SHA), None, DAY * 3), None, NOW + DAY * 3),
        (Wish(Target(SHA), None, None), None, NOW + DAY * 366),
        (Wish(Target(SHA, 10**30), None, None), None, NOW + MOST_KEPT),
        (Wish(Target(SHA, -(10**30)), None, None), None, datetime(1970, 1, 1, tzinfo=UTC)),
        (Wish(Target(SHA), None, DAY * 9999), None, NOW + MOST_KEPT),
    ],
)
def test_kept_until_the_token_ends_by_itself(wish: Wish, recorded: str | None, end: datetime) -> None:
    assert until(wish, recorded, NOW) == end
