"""The view of builds and pods for followers."""

import asyncio

import pytest
from prometheus_client import Gauge

from berth_api.builds.followers import MOST, MOST_OF_A_USER, Followers
from berth_api.builds.view import Bell, PodSeen
from berth_api.http.errors import ApiError
from berth_core import names


async def test_a_bell_wakes_all_who_wait_and_nobody_misses_a_ring() -> None:
    bell = Bell()
    waiting = [asyncio.create_task(bell.rung(bell.count)) for _ in range(3)]
    await asyncio.sleep(0)
    bell.ring()
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
        # It rang after the look and before the wait.
        heard = bell.count
        bell.ring()
        await bell.rung(heard)
    late = asyncio.create_task(bell.rung(bell.count))
    await asyncio.sleep(0)
    assert not late.done()
    late.cancel()


def test_a_container_prints_from_its_start_to_its_end() -> None:
    metadata = {"name": "p", "labels": {names.BUILD_LABEL: "b", "batch.kubernetes.io/job-name": "j"}}
    status = {
        "initContainerStatuses": [{"name": "checkout", "state": {"terminated": {"exitCode": 0}}}],
        "containerStatuses": [{"name": "script", "state": {"running": {}}}, {"name": "artifacts", "state": {}}],
    }
    pod = PodSeen.of({"metadata": metadata, "status": status})
    assert (pod.name, pod.job, pod.build) == ("p", "j", "b")
    assert [pod.has_begun(name) for name in ("checkout", "script", "artifacts", "none")] == [True, True, False, False]
    assert [pod.has_ended(name) for name in ("checkout", "script")] == [True, False]
    assert not PodSeen.of({"metadata": {"name": "new"}}).has_begun("fetch")


def test_followers_are_counted_by_user_and_in_all() -> None:
    followers = Followers(Gauge("followers", "Of the test.", registry=None))
    open_ones = [followers.one(f"user-{number // MOST_OF_A_USER}") for number in range(MOST)]
    for one in open_ones[:MOST_OF_A_USER]:
        one.__enter__()
    with pytest.raises(ApiError, match="by one user"):
        followers.one("user-0").__enter__()
    for one in open_ones[MOST_OF_A_USER:]:
        one.__enter__()
    with pytest.raises(ApiError, match="at the moment"):
        followers.one("somebody else").__enter__()
    for one in open_ones:
        one.__exit__(None, None, None)
    with followers.one("user-0"):
        pass
