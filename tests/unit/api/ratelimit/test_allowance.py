"""The account of a request, its allowance, and the headers."""

import math
import traceback
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_api.auth.identity import Identity
from berth_api.config import RateLimit, from_environment
from berth_api.ratelimit import Limiter
from berth_api.ratelimit.allowance import (
    Limit,
    Reading,
    headers,
    is_limited,
    is_preflight,
    judge,
    limit_of,
    refusal,
    untouched,
)
from berth_api.ratelimit.memory import MemoryStore
from berth_api.ratelimit.shared import store_url
from berth_core.process.settings import SettingError

SETTINGS = RateLimit(
    per_token=3600, per_peer=60, window=3600, refusal_status=429, superusers_exempt=False, redis_url=None
)
NOW = 1_800_000_000.25
UUID = "00000000-0000-4000-8000-000000000000"


def limit(requests: int = 3, window: int = 10, key: str = "k") -> Limit:
    return Limit("peer", key, requests, window)


@given(
    requests=st.integers(1, 10**6),
    window=st.integers(1, 10**6),
    counted=st.integers(0, 10**9),
    left=st.floats(-10, 2 * 10**6, allow_nan=False),
)
def test_m_is_from_0_to_n_less_1_whatever_a_store_says(requests: int, window: int, counted: int, left: float) -> None:
    allowance = judge(limit(requests, window), Reading(counted, 5, left))
    assert 0 <= allowance.remaining < requests
    assert 1 <= allowance.wait <= window
    assert allowance.passes == (counted <= requests)
    if not allowance.passes:
        assert allowance.remaining == 0


@given(st.integers(1, 200), st.integers(0, 50))
def test_n_requests_pass_and_each_m_appears_once(requests: int, more: int) -> None:
    store = MemoryStore()
    asked = limit(requests)
    allowances = [judge(asked, store.take(asked, monotonic=1.0, now=NOW)) for _ in range(requests + more)]
    assert [a.remaining for a in allowances if a.passes] == list(range(requests - 1, -1, -1))
    assert [a.remaining for a in allowances if not a.passes] == [0] * more


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 4)), max_size=80))
def test_a_window_begins_with_a_keys_first_request_and_has_one_t(steps: list[tuple[str, float]]) -> None:
    store, monotonic = MemoryStore(), 100.0
    begun: dict[str, tuple[float, int, int]] = {}
    for key, pause in steps:
        monotonic += pause
        reading = store.take(limit(key=key), monotonic=monotonic, now=NOW + monotonic)
        start, reset, counted = begun.get(key, (-math.inf, 0, 0))
        if monotonic >= start + 10:
            start, reset, counted = monotonic, math.ceil(NOW + monotonic + 10), 0
        begun[key] = (start, reset, counted + 1)
        assert (reading.requests, reading.reset) == (counted + 1, reset)
        assert 0 < reading.seconds_left <= 10 + 1e-6


def test_setting_the_clock_changes_no_window() -> None:
    store = MemoryStore()
    first = store.take(limit(), monotonic=5.0, now=NOW)
    assert store.take(limit(), monotonic=6.0, now=NOW + 86400) == Reading(2, first.reset, 9.0)


def test_windows_that_ended_take_no_memory() -> None:
    store = MemoryStore()
    for number in range(1000):
        store.take(limit(key=str(number)), monotonic=number / 1000, now=NOW)
    assert len(store) == 1000
    store.take(limit(key="later"), monotonic=10.5, now=NOW)
    assert len(store) == 500


def test_memory_is_bounded_and_the_oldest_windows_give_way() -> None:
    store = MemoryStore(most=3)
    for key in "abcd":
        store.take(limit(key=key), monotonic=1.0, now=NOW)
    assert len(store) == 3
    assert store.take(limit(key="b"), monotonic=1.0, now=NOW).requests == 2
    assert store.take(limit(key="a"), monotonic=1.0, now=NOW).requests == 1


def test_a_look_takes_nothing() -> None:
    store = MemoryStore()
    assert store.look(limit(), monotonic=1.0, now=NOW) == untouched(limit(), NOW) == Reading(0, 1_800_000_011, 10)
    store.take(limit(), monotonic=1.0, now=NOW)
    assert store.look(limit(), monotonic=2.0, now=NOW) == Reading(1, 1_800_000_011, 9.0)
    assert store.take(limit(), monotonic=2.0, now=NOW).requests == 2


def test_what_is_given_back_may_be_taken_again_in_its_window_only() -> None:
    store = MemoryStore()
    first = store.take(limit(), monotonic=1.0, now=NOW)
    store.give_back(limit(), first.reset)
    store.give_back(limit(), first.reset)
    assert store.take(limit(), monotonic=2.0, now=NOW).requests == 1
    later = store.take(limit(), monotonic=12.0, now=NOW + 11)
    store.give_back(limit(), first.reset)
    assert store.look(limit(), monotonic=12.0, now=NOW + 11) == later


def test_headers_are_the_historic_ones_and_the_drafts() -> None:
    assert headers(judge(limit(3600, 3600), Reading(1, 1_800_003_600, 3599.2))) == {
        "X-RateLimit-Limit": "3600",
        "X-RateLimit-Remaining": "3599",
        "X-RateLimit-Reset": "1800003600",
        "RateLimit-Policy": '"default";q=3600;w=3600',
        "RateLimit": '"default";r=3599;t=3600',
    }


def test_a_refusal_says_when_to_try_again() -> None:
    allowance = judge(limit(1), Reading(2, 1_800_000_000, 0.2))
    assert refusal(allowance) == "too many requests; try again after 2027-01-15T08:00:00Z"


def test_a_valid_token_counts_for_itself_and_all_else_for_the_address() -> None:
    peer = ip_address("203.0.113.7")
    mine, other = (limit_of(SETTINGS, Identity("u", digest, NOW), peer) for digest in ("aa", "bb"))
    assert mine.requests == 3600
    assert len({mine.key, other.key, limit_of(SETTINGS, None, peer).key}) == 3
    assert limit_of(SETTINGS, None, peer).requests == 60


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("203.0.113.7", "203.0.113.8", False),
        ("2001:db8::1", "2001:db8::ffff:1:2:3", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
    ],
)
def test_ipv6_addresses_count_by_their_64(one: str, other: str, same: bool) -> None:
    keys = {limit_of(SETTINGS, None, ip_address(text)).key for text in (one, other)}
    assert (len(keys) == 1) == same


def test_requests_without_a_known_address_share_one_limit() -> None:
    assert limit_of(SETTINGS, None, None) == limit_of(SETTINGS, None, None)
    assert limit_of(SETTINGS, None, None).requests == 60


@pytest.mark.parametrize(
    ("method", "path", "limited"),
    [
        ("GET", "/", True),
        ("GET", "/healthz", False),
        ("GET", "/readyz", False),
        ("GET", "/openapi.json", False),
        ("GET", "/docs", False),
        ("GET", "/docs/oauth2-redirect", False),
        ("GET", "/docsx", True),
        ("POST", f"/instance/{UUID}/ka", False),
        ("GET", f"/instance/{UUID}/ka", True),
        ("POST", f"/instance/{UUID}/ka/", True),
        ("POST", f"/instance/{UUID}/extend", True),
        ("POST", "/instance/x/ka", True),
    ],
)
def test_service_routes_and_keep_alive_pings_are_not_limited(method: str, path: str, limited: bool) -> None:
    assert is_limited(method, path, by_token=True) == limited


def test_a_ping_without_a_token_counts() -> None:
    assert is_limited("POST", f"/instance/{UUID}/ka", by_token=False)


def test_only_a_preflight_is_free() -> None:
    assert is_preflight("OPTIONS", ["POST"])
    assert not is_preflight("OPTIONS", [])
    assert not is_preflight("GET", ["POST"])


@pytest.mark.parametrize(
    ("written", "used"),
    [
        ("redis://store", "redis://store:6379"),
        ("redis://store:6380/2", "redis://store:6380/2"),
        ("valkey://:pass%2Fword@store/0", "redis://:pass%2Fword@store:6379/0"),
        ("valkeys://user:word@store:1", "rediss://user:word@store:1"),
        ("rediss://[::1]/0?ssl_ca_certs=/ca.crt", "rediss://[::1]:6379/0?ssl_ca_certs=/ca.crt"),
    ],
)
def test_redis_and_valkey_urls_are_understood(written: str, used: str) -> None:
    assert store_url(written) == used


@pytest.mark.parametrize(
    "url",
    [
        "store:6379",
        "http://:hush-hush@store",
        "redis://",
        "redis://:hush-hush@",
        "redis://:hush/hush-hush@store",
        "redis://:hush-hush@store:99999",
        "redis://:hush-hush@store?no_such_option=1",
        "redis://:hush-hush@one:1,two:2",
        "redis://:hush-hush@store?socket_timeout=hush-hush",
    ],
)
async def test_a_url_that_cannot_be_used_is_refused_without_telling_the_password(url: str) -> None:
    settings = RateLimit(1, 1, 1, 429, superusers_exempt=False, redis_url=url)
    with pytest.raises(SettingError, match="BERTH_RATE_LIMIT_REDIS_URL") as refused:
        Limiter(settings)
    assert "hush" not in "".join(traceback.format_exception(refused.value))
    assert "hush" not in repr(settings)


def test_refusals_are_429_or_403() -> None:
    with pytest.raises(SettingError, match="BERTH_RATE_LIMIT_REFUSAL_STATUS is '200'"):
        from_environment({"BERTH_RATE_LIMIT_REFUSAL_STATUS": "200"})
