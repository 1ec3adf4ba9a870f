"""Following the log of a build: each line as it is printed, each change of the build's state, then the end.

Lines come from the containers, one after the other; lines missing at the end come from the kept log. Between them
the follower waits for the watches (:mod:`berth_api.builds.view`). Lines are numbered from 1 over the whole log, so a
client can resume after the last line it saw. Two tasks read ahead by one piece each, of lines and of states: nothing
more is read until the client takes it.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final

import structlog

from berth_api.builds import logs
from berth_api.builds.lines import HEARTBEAT, Splitter, line_event, named_event
from berth_api.builds.logs import PARTS
from berth_api.builds.view import Bell, BuildSeen, BuildView, PodSeen
from berth_api.http.errors import ApiError
from berth_api.state import State
from berth_core import builds, names
from berth_core.builds import ENDINGS, Word
from berth_core.kube import errors as cluster
from berth_core.kube.types import Object
from berth_core.resources import Build

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS: Final = 10.0
CHECK_SECONDS: Final = 1.0
"""Least time between checks whether the caller may still follow: a revoked token stops counting within a second."""
REOPEN_SECONDS: Final = 2.0
"""How long the watch may take to show the end of a container after its stream; then the stream is opened again."""

Lines = list[tuple[int, bytes]]


async def events(
    state: State, build: Build, after: int, may_follow: Callable[[], bool], ending: asyncio.Event
) -> AsyncGenerator[bytes, None]:
    """Yield server-sent events of the current attempt, beginning with the line after ``after``.

    The stream ends after the event ``end``. It ends without that event where ``may_follow`` says no, ``ending`` is set,
    or the cluster is out of reach; the client then asks again from its last line.
    """
    with state.part(BuildView).bell(build) as bell:
        attempt = _Attempt(state, build, bell)
        yield named_event("status", attempt.word)
        word = attempt.word
        merged = _merged(attempt.lines(after), attempt.words(word), ending)
        async with aclosing(merged):
            try:
                async for item in merged:
                    if not may_follow():
                        return
                    if isinstance(item, Word):
                        word = item
                        yield named_event("status", word)
                    elif item is None:
                        yield HEARTBEAT
                    elif item:
                        yield b"".join(line_event(number, line) for number, line in item)
            except (cluster.ClusterError, ApiError) as error:
                log.warning("log not followed to its end", build=build.public_id, error=error.message)
                return
        if ending.is_set():
            return
        if (last := attempt.last_word()) != word:
            yield named_event("status", last)
        yield named_event("end", last)


async def _merged(
    lines: AsyncGenerator[Lines, None], words: AsyncGenerator[Word, None], ending: asyncio.Event
) -> AsyncGenerator[Lines | Word | None, None]:
    """Yield lines, states, and now and then None, until there are no more lines or ``ending`` is set."""
    loop = asyncio.get_running_loop()
    end = asyncio.create_task(ending.wait())
    pending: dict[AsyncGenerator[Any, None], asyncio.Task[Any]] = {}
    beaten = loop.time()
    try:
        for source in (words, lines):
            pending[source] = asyncio.create_task(_next(source))
        while True:
            await asyncio.wait([end, *pending.values()], timeout=CHECK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                return
            silent = True
            for source, task in list(pending.items()):
                if not task.done():
                    continue
                item = task.result()
                if item is None and source is lines:
                    return
                del pending[source]
                if item is not None:
                    yield item
                    pending[source] = asyncio.create_task(_next(source))
                if item:
                    beaten, silent = loop.time(), False
            if silent and loop.time() - beaten >= HEARTBEAT_SECONDS:
                beaten = loop.time()
                yield None
            elif silent:
                yield []  # so that the caller's right is checked again
    finally:
        tasks = [end, *pending.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await lines.aclose()
        await words.aclose()


async def _next(source: AsyncGenerator[Any, None]) -> Any:
    """Return the next item; None where there is none."""
    return await anext(source, None)


def _later(lines: Lines, after: int) -> Lines:
    return [line for line in lines if line[0] > after]


class _Attempt:
    """One attempt at a build, followed."""

    def __init__(self, state: State, build: Build, bell: Bell) -> None:
        self._state = state
        self._build = build
        self._bell = bell
        self._number = 0
        """Number of the last line that was read."""
        self._first = build.spec.attempt
        self.word = builds.word(build)

    def last_word(self) -> Word:
        """Return the final state; an attempt that another one replaced counts as canceled."""
        snapshot = self._snapshot()
        if snapshot is not None and snapshot.attempt == self._first:
            self.word = snapshot.word
        return self.word if self.word in ENDINGS else Word.CANCELED

    async def words(self, word: Word) -> AsyncGenerator[Word, None]:
        """Yield each new state of the attempt."""
        while True:
            count = self._bell.count
            snapshot = self._snapshot()
            if snapshot is not None and snapshot.attempt == self._first and snapshot.word != word:
                word = self.word = snapshot.word
                yield word
            await self._bell.rung(count)

    async def lines(self, after: int) -> AsyncGenerator[Lines, None]:
        """Yield the lines after a number, some at a time, until the log is complete. Raises ClusterError."""
        if logs.is_stored(self._build):
            async for lines in self._rest_of_log():
                yield _later(lines, after)
            await self._over()
            return
        for part, (_, container) in enumerate(PARTS):
            pod = await self._await_pod(part)
            if pod is None:
                continue
            async with aclosing(self._output(pod, container)) as output:
                async for lines in output:
                    yield _later(lines, after)
        await self._over()
        async for lines in self._rest_of_log():
            yield _later(lines, after)

    def _snapshot(self) -> BuildSeen | None:
        """The build as the watch shows it; None while the watch is behind the live read."""
        metadata = self._build.metadata
        snapshot = self._state.part(BuildView).build(metadata.namespace, metadata.name)
        return snapshot if snapshot is not None and snapshot.version >= int(metadata.resource_version) else None

    def _is_over(self) -> bool:
        """Whether nothing more happens to the attempt."""
        snapshot = self._snapshot()
        if snapshot is None:
            return self._bell.is_gone or builds.has_ended(self._build)
        return snapshot.attempt > self._first or snapshot.has_ended

    def _pod(self, step: str) -> PodSeen | None:
        job = names.build_job(self._build.public_id, self._first, step)
        return self._state.part(BuildView).pod(self._build.metadata.namespace, job)

    async def _await_pod(self, part: int) -> PodSeen | None:
        """Wait until a container has begun; None where it never will, or a later one prints already."""
        (step, container), later = PARTS[part], PARTS[part + 1 :]
        while True:
            count = self._bell.count
            pod = self._pod(step)
            if pod is not None and pod.has_begun(container):
                return pod
            if self._is_over() or any(self._prints(*one) for one in later):
                return None
            await self._bell.rung(count)

    def _prints(self, step: str, container: str) -> bool:
        pod = self._pod(step)
        return pod is not None and pod.has_begun(container)

    async def _over(self) -> None:
        while True:
            count = self._bell.count
            if self._is_over():
                return
            await self._bell.rung(count)

    async def _output(self, pod: PodSeen, container: str) -> AsyncGenerator[Lines, None]:
        """Yield the output of a container, to its end; after a break the next stream resumes there."""
        before = self._number
        while True:
            splitter, repeats = Splitter(), self._number - before
            try:
                source = self._state.logs.pod_log(self._build.metadata.namespace, pod.name, container, follow=True)
                async with aclosing(source):
                    async for piece in source:
                        lines = splitter.feed(piece)
                        skipped, repeats = min(repeats, len(lines)), max(0, repeats - len(lines))
                        yield self._numbered(lines[skipped:])
            except cluster.NotFoundError:
                return  # its output is in the kept log, or lost
            except (cluster.InvalidError, cluster.UnavailableError) as error:
                log.info("stream of a log broke", build=self._build.public_id, error=error.message)
            fate = await self._fate(pod, container)
            if fate == "ended" and not repeats:
                yield self._numbered(splitter.rest())
            if fate != "runs":
                return

    async def _fate(self, pod: PodSeen, container: str) -> str:
        """State of a container whose stream has ended: ``ended``, ``gone`` with its pod, or it ``runs``."""
        try:
            async with asyncio.timeout(REOPEN_SECONDS):
                while True:
                    count = self._bell.count
                    now = self._state.part(BuildView).pod(self._build.metadata.namespace, pod.job)
                    if now is None or now.name != pod.name:
                        return "gone"
                    if now.has_ended(container):
                        return "ended"
                    if self._is_over():
                        return "gone"
                    await self._bell.rung(count)
        except TimeoutError:
            return "runs"

    async def _rest_of_log(self) -> AsyncGenerator[Lines, None]:
        """Yield the remaining lines of a kept log."""
        live = await self._read()
        if live is None or live.spec.attempt != self._first or not live.status.log:
            return  # nothing was printed, or it was deleted
        number, splitter = live.status.log_skipped or 0, Splitter()
        async with aclosing(logs.stored(self._state, live)) as pieces:
            async for piece in pieces:
                lines = splitter.feed(piece)
                yield self._after(number, lines)
                number += len(lines)
        yield self._after(number, splitter.rest())

    async def _read(self) -> Build | None:
        metadata = self._build.metadata
        try:
            obj: Object = await self._state.client.get(Build.api(), metadata.namespace, metadata.name)
        except cluster.NotFoundError:
            return None
        return Build.parse(obj)

    def _after(self, number: int, lines: list[bytes]) -> Lines:
        """Number lines that come after ``number``; those that were read before are left out."""
        new = lines[max(0, self._number - number) :]
        self._number = max(self._number, number)
        return self._numbered(new)

    def _numbered(self, lines: list[bytes]) -> Lines:
        first = self._number + 1
        self._number += len(lines)
        return list(enumerate(lines, first))
