"""Builds and their pods as watches show them: for places in the queue, and for followers of logs.

Concurrency model: one event loop. Followers look at this view and wait for a bell that every change rings, so they do
not poll the cluster. A watch may lag by up to a second; decisions need a live read.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Self

from berth_core import builds, names
from berth_core.builds import Word
from berth_core.kube.cache import Cache, Key
from berth_core.kube.client import Client
from berth_core.kube.containers import reported
from berth_core.kube.reflector import Reflector
from berth_core.kube.types import PODS, Object
from berth_core.reading import read
from berth_core.resources import Build

JOB_LABEL: Final = "batch.kubernetes.io/job-name"


class Bell:
    """Wakes waiters when something about a build has changed."""

    def __init__(self) -> None:
        self.count = 0
        self.is_gone = False
        """Whether the Build was deleted."""
        self.listeners = 0
        self._next = asyncio.Event()

    def ring(self) -> None:
        """Wake all waiters."""
        self.count += 1
        self._next.set()
        self._next = asyncio.Event()

    async def rung(self, count: int) -> None:
        """Wait until the bell has rung more often than ``count``."""
        if self.count == count:
            await self._next.wait()


@dataclass(frozen=True, slots=True)
class BuildSeen:
    """A build as the watch shows it."""

    version: int
    """Its resourceVersion."""
    attempt: int
    """The current attempt; the other fields are about it."""
    word: Word
    has_ended: bool
    waiting: Build | None
    """The whole Build while it waits for its turn."""

    @classmethod
    def of(cls, obj: Object) -> Self | None:
        """Look at a resource; None where it cannot be read."""
        if (build := read(Build, obj)) is None:
            return None
        word = builds.word(build)
        waiting = build if word is Word.QUEUED else None
        version = int(build.metadata.resource_version)
        return cls(version, build.spec.attempt, word, builds.has_ended(build), waiting)


@dataclass(frozen=True, slots=True)
class PodSeen:
    """A pod of a build: the states of its containers, ``waiting``, ``running`` or ``terminated``."""

    name: str
    job: str
    build: str
    containers: Mapping[str, str]

    @classmethod
    def of(cls, obj: Object) -> Self:
        """Look at a pod."""
        metadata = obj["metadata"]
        states = {name: container.state for name, container in reported(obj).items()}
        labels = metadata.get("labels") or {}
        return cls(metadata["name"], labels.get(JOB_LABEL, ""), labels.get(names.BUILD_LABEL, ""), states)

    def has_begun(self, container: str) -> bool:
        """Whether a container has printed or may print."""
        return self.containers.get(container, "waiting") != "waiting"

    def has_ended(self, container: str) -> bool:
        """Whether a container prints no more."""
        return self.containers.get(container) == "terminated"


class BuildView:
    """Caches of Builds and of the pods of their Jobs."""

    def __init__(self, client: Client, namespaces: Sequence[str]) -> None:
        self._builds = Cache(BuildSeen.of)
        self._pods = Cache(PodSeen.of, {"job": lambda pod: (pod.job,)})
        self.reflectors: Final[Mapping[str, Reflector[Any]]] = {
            Build.KIND: Reflector(client, Build.api(), namespaces, self._builds),
            "Pod": Reflector(client, PODS, namespaces, self._pods, labels={names.BUILD_LABEL: ""}),
        }
        """The reflectors to run, by kind."""
        self._bells: dict[Key, Bell] = {}
        self._names: dict[str, Key] = {}
        """Keys of followed builds, by public id."""
        self._builds.listen(self._build_changed)
        self._pods.listen(self._pod_changed)

    def build(self, namespace: str, name: str) -> BuildSeen | None:
        """Return a build by the name of its object."""
        return self._builds.get(namespace, name)

    def pod(self, namespace: str, job: str) -> PodSeen | None:
        """Return the pod of a Job. A Job of a build makes one; of several, the last by name counts."""
        pods = self._pods.by("job", job, namespace)
        return pods[-1] if pods else None

    def waiting(self) -> list[Build]:
        """Return the builds that wait for their turn."""
        return [snapshot.waiting for snapshot in self._builds if snapshot.waiting is not None]

    @contextmanager
    def bell(self, build: Build) -> Iterator[Bell]:
        """Follow a build's changes for the length of a ``with`` block; all followers share one bell."""
        key = build.metadata.namespace, build.metadata.name
        bell = self._bells.setdefault(key, Bell())
        self._names[build.public_id] = key
        bell.listeners += 1
        try:
            yield bell
        finally:
            bell.listeners -= 1
            if not bell.listeners:
                del self._bells[key], self._names[build.public_id]

    def _build_changed(self, key: Key, _: BuildSeen | None, new: BuildSeen | None) -> None:
        if (bell := self._bells.get(key)) is not None:
            bell.is_gone = new is None
            bell.ring()

    def _pod_changed(self, key: Key, old: PodSeen | None, new: PodSeen | None) -> None:
        for pod in (old, new):
            if pod is None:
                continue
            build_key = self._names.get(pod.build)
            if build_key is not None and build_key[0] == key[0]:
                self._bells[build_key].ring()
