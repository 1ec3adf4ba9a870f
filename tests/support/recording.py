"""Records the commits of a real API server as a trace, and holds them against the lease protocol.

With ``BERTH_TRACES=folder`` each trace that is judged is written there.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from berth_core.kube.client import Client
from berth_core.kube.errors import GoneError, UnavailableError
from berth_core.kube.types import LEASES, Kind, Object
from berth_core.leases.protocol import LEADER
from berth_core.trace.commits import ADDED, DELETED, MODIFIED, Commit
from berth_core.trace.judge import judge
from berth_core.trace.projection import project

SWITCH = "BERTH_TRACES"
CAUGHT_UP_SECONDS = 30.0
LOOK_SECONDS = 0.5
"""Between two lists, where nothing comes that would be a reason for the next."""
BERTH = "berth.dev/v1alpha1"
KINDS = (
    Kind(BERTH, "workspacedeployments"),
    Kind(BERTH, "instances"),
    Kind("v1", "secrets"),
    Kind("v1", "pods"),
    Kind("v1", "services"),
    Kind("batch/v1", "jobs"),
    LEASES,
)


class IllegalCommitError(AssertionError):
    """A commit was no legal step of the lease protocol: no second run excuses it (berth_dev.gate.again)."""


@dataclass
class Tally:
    """Traces of this process that the protocol allows, of those in which a deployment was lent."""

    traces: int = 0
    commits: int = 0
    leases: int = 0

    def count(self, traces: int, commits: int, leases: int) -> None:
        """Add some."""
        self.traces, self.commits, self.leases = self.traces + traces, self.commits + commits, self.leases + leases


TALLY = Tally()


@dataclass
class Recorder:
    """The trace of some namespaces; made by :func:`recording`."""

    client: Client
    workspaces: str
    release: str
    commits: list[Commit] = field(default_factory=list)
    _there: dict[Kind, dict[str, int]] = field(default_factory=dict)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def trace(self) -> list[Commit]:
        """Commits in the order of their versions; what was there before comes first."""
        return sorted(self.commits, key=lambda commit: (not commit.known, commit.version))

    async def begin(self, kind: Kind) -> str:
        """Take down what is there of a kind; the version from which to follow it."""
        listed, version = await self.client.list(kind, self._namespace(kind), fields=_fields(kind))
        self._there[kind] = {}
        for obj in listed:
            self._see(kind, ADDED, obj, known=True)
        return version

    async def follow(self, kind: Kind, version: str) -> None:
        """Take down every commit after a version, until cancelled. An interrupted watch goes on where it was.

        An API server that has begun since knows nothing of what was before: that was seen here already, or commits are
        missing.
        """
        while True:
            try:
                async for event in self.client.watch(kind, self._namespace(kind), version, fields=_fields(kind)):
                    version = event.object["metadata"]["resourceVersion"]
                    if event.type in (ADDED, MODIFIED, DELETED):
                        self._see(kind, event.type, event.object)
            except GoneError as gone:
                version = await goes_on(
                    self.client, kind, self._namespace(kind), gone, self._there[kind], _fields(kind)
                )
            except UnavailableError:
                await asyncio.sleep(0.1)

    async def caught_up(self) -> None:
        """Wait until all that is there has been seen: a list shows what was made since the one before."""
        async with asyncio.timeout(CAUGHT_UP_SECONDS):
            for kind in KINDS:
                while not self._covers(kind, await self._versions(kind)):
                    self._news.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_SECONDS):
                            await self._news.wait()

    async def _versions(self, kind: Kind) -> dict[str, int]:
        listed, _ = await self.client.list(kind, self._namespace(kind), fields=_fields(kind), metadata_only=True)
        return versions(listed)

    def _namespace(self, kind: Kind) -> str:
        return self.release if kind == LEASES else self.workspaces

    def _covers(self, kind: Kind, wanted: dict[str, int]) -> bool:
        there = self._there[kind]
        return there.keys() <= wanted.keys() and all(there.get(name, 0) >= v for name, v in wanted.items())

    def _see(self, kind: Kind, event: str, obj: Object, *, known: bool = False) -> None:
        metadata = obj["metadata"]
        if event == DELETED:
            self._there[kind].pop(metadata["name"], None)
        else:
            self._there[kind][metadata["name"]] = int(metadata["resourceVersion"])
        commit = project(event, kind.plural, obj, known=known)
        if commit is not None:
            self.commits.append(commit)
        self._news.set()


async def goes_on(
    client: Client,
    kind: Kind,
    namespace: str,
    gone: GoneError,
    seen: Mapping[str, int],
    fields: Mapping[str, str] | None = None,
) -> str:
    """Return the version from which an API server that has begun since can be watched.

    A list of exactly that version must show what was ``seen``: versions by name. Else something was missed.
    """
    told = re.search(r"too old resource version: \d+ \((\d+)\)", str(gone))
    if told is None:
        raise gone
    chosen = ",".join(f"{name}={value}" for name, value in (fields or {}).items())
    query = {"resourceVersion": told[1], "resourceVersionMatch": "Exact", "fieldSelector": chosen}
    while True:
        try:
            listed = await client.request("GET", kind.path(namespace), query=query)
        except UnavailableError:
            await asyncio.sleep(0.1)
            continue
        if versions(listed["items"]) != seen:
            raise RuntimeError(f"commits of {kind.plural} are missing")
        return told[1]


def versions(listed: Iterable[Object]) -> dict[str, int]:
    """Versions of objects by name."""
    return {obj["metadata"]["name"]: int(obj["metadata"]["resourceVersion"]) for obj in listed}


@asynccontextmanager
async def recording(client: Client, workspaces: str, release: str) -> AsyncIterator[Recorder]:
    """Record for the length of a ``with`` block."""
    recorder = Recorder(client, workspaces, release)
    versions = [await recorder.begin(kind) for kind in KINDS]
    tasks = [asyncio.create_task(recorder.follow(k, v)) for k, v in zip(KINDS, versions, strict=True)]
    try:
        yield recorder
        tasks.append(asyncio.create_task(recorder.caught_up()))
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended: Sequence[object] = await asyncio.gather(*tasks, return_exceptions=True)
    for outcome in ended:
        if isinstance(outcome, Exception):
            raise outcome


def save(commits: Sequence[Commit], file: Path) -> None:
    """Write a trace, one commit a line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(f"{commit.line()}\n" for commit in commits), encoding="utf-8")


@asynccontextmanager
async def judged(client: Client, workspaces: str, release: str, name: str) -> AsyncIterator[None]:
    """Record for the length of a ``with`` block; where a commit was no legal step, that is its failure."""
    async with recording(client, workspaces, release) as recorder:
        yield
    trace = recorder.trace()
    if folder := os.environ.get(SWITCH):
        save(trace, Path(folder) / f"{name}.jsonl")
    verdict = judge(trace)
    if verdict.breaches:
        raise IllegalCommitError("\n".join(map(str, verdict.breaches)))
    if verdict.taken or verdict.given_back:
        TALLY.count(1, verdict.commits, verdict.taken)


def _fields(kind: Kind) -> dict[str, str] | None:
    """Of Leases only the leader's has a part in it."""
    return {"metadata.name": LEADER} if kind == LEASES else None
