"""The work queue, on the loop's own clock."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from berth_core.kube.errors import ForbiddenError
from berth_operator.engine.workqueue import FIRST_DELAY, NOISY_AFTER, Key, WorkQueue
from berth_operator.errors import NotLeaderError

A, B = Key("instance", "lab", "a"), Key("instance", "lab", "b")


@asynccontextmanager
async def running(
    reconcile: Callable[[Key], Awaitable[float | None]],
    *,
    workers: int = 4,
    urgent: Callable[[Key], bool] = lambda _: False,
    on_stuck: Callable[[Key, Exception, int], Awaitable[None]] | None = None,
) -> AsyncIterator[WorkQueue]:
    queue = WorkQueue(reconcile, workers=workers, urgent=urgent, on_stuck=on_stuck)
    queue.open()
    task = asyncio.create_task(queue.run())
    try:
        async with asyncio.timeout(10):
            yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_key_that_waits_is_there_once() -> None:
    passes: Counter[Key] = Counter()
    done = asyncio.Event()

    async def reconcile(key: Key) -> None:
        passes[key] += 1
        if key == B:
            done.set()

    async with running(reconcile, workers=1) as queue:
        for _ in range(5):
            queue.add(A)
        queue.add(B)
        await done.wait()
    assert passes == {A: 1, B: 1}


async def test_one_pass_at_a_time_for_a_key_and_another_after_it_when_news_came() -> None:
    busy, gate, passes = 0, asyncio.Event(), 0
    started, twice = asyncio.Event(), asyncio.Event()

    async def reconcile(_key: Key) -> None:
        nonlocal busy, passes
        busy, passes = busy + 1, passes + 1
        assert busy == 1
        started.set()
        await gate.wait()
        busy -= 1
        if passes == 2:
            twice.set()

    async with running(reconcile) as queue:
        queue.add(A)
        await started.wait()
        queue.add(A)
        queue.add(A)
        gate.set()
        await twice.wait()
    assert passes == 2


async def test_a_slow_key_does_not_hold_up_another() -> None:
    gate, other = asyncio.Event(), asyncio.Event()

    async def reconcile(key: Key) -> None:
        if key == A:
            await gate.wait()
        else:
            other.set()

    async with running(reconcile) as queue:
        queue.add(A)
        queue.add(B)
        await other.wait()
        gate.set()


async def test_an_urgent_key_is_worked_on_before_those_that_came_earlier() -> None:
    started, gate, done = asyncio.Event(), asyncio.Event(), asyncio.Event()
    first, order = Key("instance", "lab", "first"), list[Key]()

    async def reconcile(key: Key) -> None:
        started.set()
        await gate.wait()
        order.append(key)
        if len(order) == 3:
            done.set()

    async with running(reconcile, workers=1, urgent=lambda key: key == B) as queue:
        queue.add(first)
        await started.wait()
        queue.add(A)
        assert not queue.hurried
        queue.add(B)
        assert queue.hurried
        gate.set()
        await done.wait()
    assert order == [first, B, A]


async def test_a_failure_comes_back_and_is_told_again_and_again_when_it_goes_on() -> None:
    passes, told = 0, list[int]()
    often = asyncio.Event()

    async def reconcile(_key: Key) -> None:
        nonlocal passes
        passes += 1
        queue.add(A)
        await asyncio.sleep(0)
        raise ValueError("not yet")

    async def on_stuck(key: Key, error: Exception, failures: int) -> None:
        assert (key, str(error), failures) == (A, "not yet", passes)
        told.append(failures)
        if len(told) == 3:
            often.set()

    async with running(reconcile, on_stuck=on_stuck) as queue:
        queue.add(A)
        await often.wait()
    assert told == [NOISY_AFTER, 2 * NOISY_AFTER, 3 * NOISY_AFTER]


async def test_news_do_not_hurry_what_the_cluster_refuses_again_and_again() -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    proceeds = asyncio.Event()

    async def reconcile(_key: Key) -> None:
        times.append(loop.time())
        queue.add(A)
        await asyncio.sleep(0)
        if len(times) <= NOISY_AFTER:
            raise ForbiddenError("a policy denies it", status=403)
        if len(times) == NOISY_AFTER + 2:
            proceeds.set()

    async with running(reconcile) as queue:
        queue.add(A)
        await proceeds.wait()
    refused, first, second = times[NOISY_AFTER - 1 : NOISY_AFTER + 2]
    assert first - refused > FIRST_DELAY * 2 ** (NOISY_AFTER - 1) / 2
    assert second - first < first - refused


async def test_a_deadline_brings_a_key_back_and_the_earliest_counts() -> None:
    loop = asyncio.get_running_loop()
    times: list[float] = []
    done = asyncio.Event()

    async def reconcile(_key: Key) -> float | None:
        times.append(loop.time())
        if len(times) == 2:
            done.set()
            return None
        return 0.05

    async with running(reconcile) as queue:
        began = loop.time()
        queue.add_after(A, 60)
        queue.add_after(A, 0.02)
        queue.add_after(A, 30)
        await done.wait()
    assert 0.015 <= times[0] - began < 5
    assert 0.045 <= times[1] - times[0] < 5


async def test_a_key_that_met_a_lost_lead_comes_back_where_the_lead_was_kept_after_all() -> None:
    passes, done = Counter[Key](), asyncio.Event()

    async def reconcile(key: Key) -> None:
        passes[key] += 1
        if passes[key] == 1:
            raise NotLeaderError("over")
        done.set()

    async with running(reconcile, workers=1) as queue:
        queue.add(A)
        await done.wait()
    assert passes == {A: 2}


async def test_a_queue_that_is_not_open_takes_nothing() -> None:
    async def reconcile(_key: Key) -> None:
        raise AssertionError("nothing was to be done")

    queue = WorkQueue(reconcile)
    queue.add(A)
    queue.add_after(A, 0)
    assert queue.oldest_age() == 0


async def test_a_worker_ends_where_its_pass_answers_the_cancellation_with_an_error_of_its_own() -> None:
    """Else a process that leads no more would go on as a shadow, and never stand for the lead again."""
    begun = asyncio.Event()

    async def reconcile(_key: Key) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise NotLeaderError("over")

    queue = WorkQueue(reconcile, workers=2)
    queue.open()
    task = asyncio.create_task(queue.run())
    queue.add(A)
    await begun.wait()
    task.cancel()
    await asyncio.wait([task], timeout=10)
    assert task.cancelled()
