"""Ends and extensions, decided without a cluster."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_api.http.bodies import bind
from berth_api.http.errors import BadRequestError
from berth_api.keepalive import expiry
from berth_api.keepalive.expiry import Extension, QueuedError
from berth_api.keepalive.schemas import ExtendRequest
from berth_core.kube.model import timestamp
from berth_core.resources import Instance, WorkspaceType
from berth_core.resources.workspacetype import Limits
from berth_operator.instances.status import end_of

READY = datetime(2026, 1, 1, 12, 0, 0, 250_000, tzinfo=UTC)
NOW = READY + timedelta(seconds=100)

seconds = st.integers(1, 10**7)
moments = st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


def instance(*, generation: int = 1, seen: int | None = 1, expire_after: int | None = None, **status: Any) -> Instance:
    return Instance.parse(
        {
            "metadata": {"name": "i", "namespace": "lab", "generation": generation},
            "spec": {"user": "alice", "deployments": ["d"], "expireAfter": expire_after},
            "status": {"observedGeneration": seen, **status},
        }
    )


def ready(expire_after: int | None = 3600, **fields: Any) -> Instance:
    end = timestamp((READY + timedelta(seconds=expire_after)).replace(microsecond=0)) if expire_after else None
    fields = {"readyTime": timestamp(READY), "expireTime": end} | fields
    return instance(expire_after=expire_after, **fields)


def wish(
    found: Instance, expire_d: int, *, others_wait: bool = False, longest: int | None = None, **limits: Any
) -> int:
    extension = Extension(found, Limits(**limits), expire_d, longest, others_wait)
    return expiry.extended(extension, NOW)


@given(
    st.one_of(st.none(), moments),
    st.one_of(st.none(), seconds),
    st.one_of(st.none(), seconds),
    st.one_of(st.none(), moments),
    st.sampled_from([None, 1, 2]),
)
def test_what_is_shown_is_what_the_operator_will_write(
    ready_time: datetime | None, asked: int | None, most: int | None, expire_time: datetime | None, seen: int | None
) -> None:
    limits = {"maxExpireAfter": most}
    kind = WorkspaceType.parse(
        {"metadata": {"name": "t"}, "spec": {"typeName": "t", "template": {"image": "i"}, "limits": limits}}
    )
    found = instance(
        generation=2,
        seen=seen,
        expire_after=asked,
        readyTime=timestamp(ready_time) if ready_time else None,
        expireTime=timestamp(expire_time) if expire_time else None,
    )
    end = end_of(found, kind)
    assert expiry.expires(found, kind.spec.limits) == (timestamp(end) if end else None)


def test_the_end_counts_from_now_and_is_stored_from_readiness() -> None:
    assert wish(ready(3600), 3600) == 3700
    assert expiry.extended(Extension(ready(3600), Limits(), 3600, None, False), NOW + timedelta(microseconds=1)) == 3701


@given(st.integers(10**7, 10**8), st.integers(0, 10**9))
def test_an_extension_is_what_was_asked_for_rounded_up(expire_d: int, micros: int) -> None:
    now = READY + timedelta(microseconds=micros)
    total = expiry.extended(Extension(ready(3600), Limits(), expire_d, None, False), now)
    assert timedelta(0) <= READY + timedelta(seconds=total) - (now + timedelta(seconds=expire_d)) < timedelta(seconds=1)


def test_before_readiness_it_counts_from_there() -> None:
    assert wish(instance(expire_after=60), 61) == 61
    assert wish(instance(), 61, default_expire_after=60) == 61
    with pytest.raises(BadRequestError, match="60 s from readiness already"):
        wish(instance(), 60, default_expire_after=60)


@pytest.mark.parametrize("found", [instance(), ready(None)])
def test_what_has_no_end_cannot_be_extended(found: Instance) -> None:
    with pytest.raises(BadRequestError, match="no end"):
        wish(found, 3600)


def test_an_end_that_is_no_later_is_refused_with_the_end_that_there_is() -> None:
    known = ready(3600).status.expire_time
    assert known is not None
    for expire_d in (1, 3500):
        with pytest.raises(BadRequestError, match=f"until {known} already"):
            wish(ready(3600), expire_d)
    assert wish(ready(3600), 3501) == 3601


def test_what_is_over_is_not_extended() -> None:
    with pytest.raises(BadRequestError, match="was up at"):
        wish(ready(100, expireTime=timestamp(NOW)), 3600)


def test_an_extension_that_the_operator_has_not_written_yet_counts() -> None:
    extended = ready(3600, expireTime=timestamp(READY + timedelta(seconds=50)))
    extended = extended.model_copy(update={"metadata": extended.metadata.model_copy(update={"generation": 2})})
    with pytest.raises(BadRequestError, match="already"):
        wish(extended, 3000)


@pytest.mark.parametrize("bounds", [{"longest": 4000}, {"max_expire_after": 4000}])
def test_no_lease_outlasts_its_bounds(bounds: dict[str, Any]) -> None:
    assert wish(ready(3600), 3900, **bounds) == 4000
    with pytest.raises(BadRequestError, match="4000 s from readiness at most, this would be 4001 s"):
        wish(ready(3600), 3901, **bounds)


def test_while_others_wait_the_type_says_how_much() -> None:
    assert wish(ready(3600), 3600, others_wait=True, max_extension_when_queued=3600) == 3700
    with pytest.raises(QueuedError, match="`expire_d` may be 3599 at most"):
        wish(ready(3600), 3600, others_wait=True, max_extension_when_queued=3599)
    for limits in ({}, {"max_extension_when_queued": 0}):
        with pytest.raises(QueuedError, match="it cannot be extended"):
            wish(ready(3600), 3600, others_wait=True, **limits)


def test_a_number_is_one_however_it_is_written() -> None:
    assert (
        bind(ExtendRequest, {"expire_d": 60.0}) == bind(ExtendRequest, {"expire_d": 60}) == ExtendRequest(expire_d=60)
    )


@pytest.mark.parametrize("value", [None, "60", 1.5, float("inf"), True, [], {}, 0, -1, 2**31])
def test_a_wrong_expire_d_is_named(value: object) -> None:
    with pytest.raises(BadRequestError, match="option `expire_d`"):
        bind(ExtendRequest, {"expire_d": value})
