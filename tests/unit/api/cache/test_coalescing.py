"""Simultaneous requests share their work."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_api.cache.coalescing import MOST_AT_ONCE, SHOWN_SECONDS, Claims, Reads

ARM = ("lab", "arm")


class Cluster:
    """Counts reads; each begins and ends when it is told to."""

    def __init__(self) -> None:
        self.begun = 0
        self.ends: list[asyncio.Event] = []

    async def read(self) -> int:
        self.begun += 1
        number, end = self.begun, asyncio.Event()
        self.ends.append(end)
        await end.wait()
        return number


async def turns(count: int = 5) -> None:
    """Let everything go on that can."""
    for _ in range(count):
        await asyncio.sleep(0)


@given(st.lists(st.sampled_from(["ask", "end"]), max_size=40))
async def test_nobody_is_given_what_was_read_before_he_asked(steps: list[str]) -> None:
    reads, cluster = Reads(), Cluster()
    asked: list[tuple[int, asyncio.Task[int]]] = []
    with pytest.MonkeyPatch.context() as patched:
        # Else a process that gets no turn for a moment has them read side by side.
        patched.setattr("berth_api.cache.coalescing.LONGEST_WAIT", 60)
        for step in steps:
            if step == "ask":
                asked.append((cluster.begun, asyncio.create_task(reads.of("arm", cluster.read))))
            elif unfinished := [end for end in cluster.ends if not end.is_set()]:
                unfinished[0].set()
            await turns()
        while any(not task.done() for _, task in asked):
            for end in cluster.ends:
                end.set()
            await turns()
    assert all(before < task.result() for before, task in asked)
    assert cluster.begun <= 2 + sum(step == "end" for step in steps), "callers during one read share the next"


async def test_sixty_four_who_ask_at_once_cost_two_reads() -> None:
    reads, count = Reads(), 0

    async def read() -> int:
        nonlocal count
        count += 1
        await asyncio.sleep(0)
        return count

    answers = await asyncio.gather(*(reads.of("arm", read) for _ in range(64)))
    assert answers == [1, *[2] * 63]
    assert await reads.of("arm", read) == 3, "nothing is kept"


async def test_a_read_that_hangs_holds_up_the_next_for_a_moment_only() -> None:
    reads, cluster = Reads(), Cluster()
    hanging = asyncio.create_task(reads.of("arm", cluster.read))
    await turns()

    async def read() -> str:
        return "live"

    async with asyncio.timeout(5):
        assert await reads.of("arm", read) == "live"
    cluster.ends[0].set()
    assert await hanging == 1


async def test_an_error_reaches_all_who_share_and_nobody_after_them() -> None:
    reads = Reads()

    cluster, refused = Cluster(), asyncio.Event()

    async def failing() -> int:
        await refused.wait()
        raise LookupError

    tasks = [asyncio.create_task(reads.of("arm", failing)) for _ in range(4)]
    await turns()
    refused.set()
    for task in tasks:
        with pytest.raises(LookupError):
            await task
    after = asyncio.create_task(reads.of("arm", cluster.read))
    await turns()
    cluster.ends[0].set()
    assert await after == 1


async def test_one_who_gives_up_takes_nothing_from_those_who_share() -> None:
    reads, cluster = Reads(), Cluster()
    tasks = [asyncio.create_task(reads.of("arm", cluster.read)) for _ in range(3)]
    await turns()
    tasks[0].cancel()
    tasks[1].cancel()
    await turns()
    cluster.ends[-1].set()
    await turns()
    assert cluster.begun == 2
    cluster.ends[-1].set()
    assert await tasks[2] == 2


async def test_who_finds_a_claim_under_way_can_wait_for_its_end() -> None:
    claims = Claims()
    async with claims.of(ARM):
        assert claims.is_under_way(ARM)
        assert not claims.is_under_way(("lab", "other"))
        waiting = asyncio.create_task(claims.over([ARM, ("lab", "other")]))
        await turns()
        async with claims.of(ARM):
            pass
        assert claims.is_under_way(ARM), "the end of a second one is not that of the first"
        assert not waiting.done()
    await waiting
    assert not claims.is_under_way(ARM)


async def test_a_claim_that_fails_is_over_too() -> None:
    claims = Claims()
    with pytest.raises(LookupError):
        async with claims.of(ARM):
            raise LookupError
    await claims.over([ARM])
    assert not claims.is_under_way(ARM)


async def test_claims_of_a_burst_take_turns_and_the_first_end_first() -> None:
    claims, ended, go = Claims(), list[int](), asyncio.Event()

    async def claim(number: int) -> None:
        async with claims.of(("lab", f"arm-{number}")):
            begun.append(number)
            await go.wait()
        ended.append(number)

    begun = list[int]()
    tasks = [asyncio.create_task(claim(number)) for number in range(MOST_AT_ONCE + 3)]
    await turns()
    assert begun == list(range(MOST_AT_ONCE))
    assert all(claims.is_under_way(("lab", f"arm-{number}")) for number in range(MOST_AT_ONCE + 3))
    go.set()
    await asyncio.gather(*tasks)
    assert ended == list(range(MOST_AT_ONCE + 3))


async def test_what_was_just_taken_is_passed_over_until_the_caches_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    claims, now = Claims(), 100.0
    monkeypatch.setattr("berth_api.cache.coalescing._now", lambda: now)
    async with claims.of(ARM):
        claims.took(ARM)
    await claims.over([ARM])
    assert claims.is_under_way(ARM)
    now += SHOWN_SECONDS
    assert not claims.is_under_way(ARM)
