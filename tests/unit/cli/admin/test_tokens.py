"""Claims of tokens."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from berth_cli.admin.keys import material
from berth_cli.admin.tokens import claims
from berth_cli.admin.tokens.claims import TokenRequest

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ID = "0190b6f4-7c3a-7e21-8f6b-2d4c5a6b7c8d"


def test_a_plain_token_says_who_for_whom_and_until_when() -> None:
    issued = int(NOW.timestamp())
    assert claims.claims(TokenRequest("alice", DAY), NOW) == {
        "sub": "alice",
        "iss": "berth",
        "aud": "berth",
        "iat": issued,
        "exp": issued + 86400,
    }


@pytest.mark.parametrize(
    ("wish", "claim"),
    [
        ({"superuser": True}, {"su": True}),
        ({"scope": ("rw", "ci")}, {"sc": ["rw", "ci"]}),
        ({"instance": ID}, {"in": ID}),
        ({"types": ("fixed_misty2",)}, {"wt": ["fixed_misty2"]}),
        ({"organisation": "lab"}, {"org": "lab"}),
        ({"expire_d": 600}, {"opt": {"expire_d": 600}}),
    ],
)
def test_each_option_is_one_claim(wish: dict[str, Any], claim: dict[str, Any]) -> None:
    plain = claims.claims(TokenRequest("alice", DAY), NOW)
    assert claims.claims(TokenRequest("alice", DAY, **wish), NOW) == plain | claim


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (TokenRequest("", DAY), "printable"),
        (TokenRequest("a\nb", DAY), "printable"),
        (TokenRequest("a" * 254, DAY), "253"),
        (TokenRequest("alice", timedelta(days=366, seconds=1)), "366 days"),
        (TokenRequest("alice", DAY, instance="misty-1"), "no instance id"),
        (TokenRequest("alice", DAY, types=("a", "misty-1")), "'misty-1' is no workspace type"),
        (TokenRequest("alice", DAY, types=("a",) * 65), "at most 64"),
        (TokenRequest("alice", DAY, expire_d=0), "1 or more"),
    ],
)
def test_what_the_api_would_refuse_is_not_made(request_: TokenRequest, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        claims.claims(request_, NOW)


@pytest.mark.parametrize(
    ("scope", "read_only", "own"),
    [
        ((), False, False),
        (("rw",), False, False),
        (("ci", "rw"), False, False),
        (("ro",), True, False),
        (("",), True, False),
        (("own",), True, True),
        (("rw", "own"), False, True),
    ],
)
def test_the_record_says_what_the_token_may_and_never_the_token(
    scope: tuple[str, ...], read_only: bool, own: bool
) -> None:
    request = TokenRequest("alice", DAY, superuser=True, scope=scope, instance=ID, types=("a", "b"))
    kept = claims.record(request, claims.claims(request, NOW), "the token")
    assert kept.wire() == {
        "sha256": hashlib.sha256(b"the token").hexdigest(),
        "user": "alice",
        "issued": "2026-05-01T00:00:00Z",
        "expires": "2026-05-02T00:00:00Z",
        "superuser": True,
        "readOnly": read_only,
        "own": own,
        "instance": ID,
        "types": ["a", "b"],
    }


def test_the_signature_names_its_key() -> None:
    kid, pem = material.new_signing_key()
    token = claims.sign({"sub": "alice"}, kid=kid, pem=pem)
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "JWT", "kid": kid}
    assert claims.digest(token) == hashlib.sha256(token.encode()).hexdigest()
