"""Removing accounts without bringing ended tokens back; passwords."""

from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from berth_cli.admin.users import passwords
from berth_cli.admin.users.accounts import purge_matters_until, would_return
from berth_core.resources import Account, IssuedToken

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def account(after: str | None) -> Account:
    return Account.parse({"metadata": {"name": "alice"}, "spec": {"user": "alice", "tokensValidAfter": after}})


def token(issued: str, expires: str) -> IssuedToken:
    spec = {"sha256": "0" * 64, "user": "alice", "issued": issued, "expires": expires}
    return IssuedToken.parse({"metadata": {"name": "0" * 64}, "spec": spec})


def test_a_purge_matters_for_the_longest_life_of_a_token() -> None:
    assert purge_matters_until(account(None), NOW) is None
    assert purge_matters_until(account("2026-04-30T00:00:00Z"), NOW) == datetime(2027, 5, 1, 0, 0, 1, tzinfo=UTC)
    long_ago = account("2025-04-30T00:00:00Z")
    end = datetime(2026, 5, 1, 0, 0, 1, tzinfo=UTC)
    assert purge_matters_until(long_ago, end - timedelta(seconds=1)) == end
    assert purge_matters_until(long_ago, end) is None


@pytest.mark.parametrize(
    ("issued", "expires", "returns"),
    [
        ("2026-04-01T00:00:00Z", "2026-05-01T00:00:01Z", True),
        ("2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z", False),
        ("2026-04-02T00:00:00Z", "2026-06-01T00:00:00Z", False),
    ],
)
def test_tokens_that_only_the_purge_ends(issued: str, expires: str, returns: bool) -> None:
    made = token(issued, expires)
    assert would_return([made], account("2026-04-02T00:00:00Z"), NOW) == ([made] if returns else [])


@pytest.mark.parametrize("password", ["a" * 12, "ß" * 12, "a" * 1024, "correct horse battery"])
def test_good_passwords(password: str) -> None:
    passwords.check(password)


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("a" * 11, "at least 12"),
        ("a" * 1025, "at most 1024"),
        ("ß" * 513, "at most 1024"),
        ("a" * 12 + "\n", "one line"),
        ("a" * 12 + "\udcff", "one line"),
    ],
)
def test_bad_passwords(password: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        passwords.check(password)


def test_the_hash_is_argon2id_with_a_salt_of_its_own() -> None:
    one, other = passwords.hashed("correct horse battery"), passwords.hashed("correct horse battery")
    assert one.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert one != other
    assert PasswordHasher().verify(one, "correct horse battery")
    with pytest.raises(VerifyMismatchError):
        PasswordHasher().verify(one, "correct horse batterY")
