"""Wrong passwords slow the right one down, and never for long."""

from functools import partial
from ipaddress import IPv6Address
from typing import cast

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from berth_api.auth.passwords import (
    FIRST_DELAY,
    LONGEST_PASSWORD,
    PER_SITE,
    SLOWEST,
    UNHURRIED,
    AuthenticationFailedError,
    Pair,
    Passwords,
    ThrottledError,
    delay,
)
from berth_core.kube.client import Client


@given(st.integers(0, 10**9))
def test_the_more_failures_the_longer_a_check_waits_within_bounds(failures: int) -> None:
    assert delay(failures) <= delay(failures + 1) <= SLOWEST


def test_some_failures_are_free() -> None:
    assert delay(UNHURRIED - 1) == 0
    assert delay(UNHURRIED) == FIRST_DELAY


async def test_networks_of_one_site_share_its_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    cheap = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr("berth_api.auth.passwords.PasswordHasher", cheap)
    # The store is not asked for a password that nobody can have; it is checked all the same.
    passwords = Passwords(cast(Client, None), "access")

    async def guess(number: int, site: int = 2) -> None:
        pair = Pair(f"nobody-{number}", "x" * (LONGEST_PASSWORD + 1))
        await passwords.need_right(pair, IPv6Address(f"2001:db8:{site:x}:{number:x}::1"))

    for number in range(PER_SITE.amount):
        with pytest.raises(AuthenticationFailedError):
            await guess(number)
    with pytest.raises(ThrottledError):
        await guess(PER_SITE.amount)
    with pytest.raises(AuthenticationFailedError):
        await guess(PER_SITE.amount, site=3)
