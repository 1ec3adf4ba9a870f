"""An API process is stopped at one of its writes of a `POST /new`, and goes on when others have acted in its place.

Meanwhile another process serves: without an Idempotency-Key somebody else, who gets the deployment once the lease is
given back; with one the same client, who asks again. In the end one instance holds the deployment, and nothing else is
left of the request.
"""

import asyncio
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from berth_core.kube.types import Object
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import make_namespaces

from ..conftest import is_long
from ..envtest.operator.lab import DEPLOYMENTS, INSTANCES, SECRETS, condition, is_tombstone
from .dump import dump
from .pauses import Point
from .release import Release, Served, release
from .seeds import SEED
from .test_api_kills import POINTS
from .waiting import until

pytestmark = [pytest.mark.apiserver, pytest.mark.release(twin="tests/sim/test_pauses.py")]

SECONDS = 60.0 if is_long() else 1.0
SERVED_SECONDS = 200.0
"""In which another process has served: a lease without an Instance is given back after 30 s; a repeat waits up to
120 s, until what the first request made is surely there or never will be."""
SETTLED_SECONDS = 60.0
"""A private key that nobody needs goes 30 s after it was made."""
STRUCK_SECONDS = 30.0
AGAIN_SECONDS = 0.5


@dataclass
class Case:
    """One request with its pause, on a type and a deployment of its own; `number` tells cases apart."""

    made: Release
    number: int
    key: str
    point: Point
    first: Served

    def __str__(self) -> str:
        return f"{self.point} {'with' if self.key else 'without'} an Idempotency-Key"

    @property
    def deployment(self) -> str:
        return f"robot-{self.number}"

    @property
    def type_name(self) -> str:
        return f"robot_{self.number}"

    async def ask(self, served: Served, user: httpx.AsyncClient) -> httpx.Response:
        """Ask for an instance."""
        headers = {"Idempotency-Key": self.key} if self.key else {}
        return await user.post(f"{served.url}/new/{self.type_name}", headers=headers)

    async def play(self, second: Served) -> None:
        """Stop the first process, let the second serve, let the first go on; judge, and end it all."""
        names = f"ada-{self.number}", f"{'ada' if self.key else 'bob'}-{self.number}"
        async with self.made.user(names[0], timeout=600) as user, self.made.user(names[1], timeout=60) as other:
            self.first.proxy.forget()
            self.point.stop(self.first.proxy, self.first.process)
            asking = asyncio.ensure_future(self.ask(self.first, user))
            try:
                await asyncio.wait_for(self.first.proxy.struck.wait(), STRUCK_SECONDS)
                stopped = time.monotonic()
                served = await self.served(second, other)
                await asyncio.sleep(max(0.0, stopped + SECONDS - time.monotonic()))
            finally:
                self.first.process.send_signal(signal.SIGCONT)
                self.first.proxy.let_go()
            answer = await asyncio.wait_for(asking, STRUCK_SECONDS)
            holder = await self.judged(served, answer)
            await self.made.lab.client.patch(INSTANCES, self.made.lab.namespace, holder, {"spec": {"terminate": True}})
            await self.made.lab.until(
                DEPLOYMENTS, self.deployment, lambda wd: condition(wd, "Available") == "Free", seconds=SETTLED_SECONDS
            )

    async def served(self, second: Served, other: httpx.AsyncClient) -> str:
        """Result of the other process: the instance that it made or found; empty where there was one already."""
        deadline = time.monotonic() + SERVED_SECONDS
        while True:
            answer = await self.ask(second, other)
            if answer.status_code == 200:
                return str(answer.json()["id"])
            assert answer.status_code in (409, 503), f"{self}: {answer.status_code} {answer.text}"
            if not self.key and await self.instances():
                return ""  # the request was done, only its answer is late
            assert time.monotonic() < deadline, f"{self}: refused for ever: {answer.text}"
            await asyncio.sleep(AGAIN_SECONDS)

    async def instances(self) -> list[Object]:
        """All that were made for the deployment, but for names that were taken of those that were not."""
        found, _ = await self.made.lab.client.list(INSTANCES, self.made.lab.namespace)
        return [obj for obj in found if self.deployment in obj["spec"]["deployments"] and not is_tombstone(obj)]

    async def judged(self, served: str, answer: httpx.Response) -> str:
        """The one instance that there is in the end, which is that of the lease."""
        holder = ""

        async def is_settled() -> bool:
            nonlocal holder
            living = [obj["metadata"]["name"] for obj in await self.instances() if not _has_ended(obj)]
            lease = await self.made.lab.lease(self.deployment)
            holder = living[0] if len(living) == 1 else ""
            return bool(holder) and lease is not None and lease["instance"] == holder and await self.has_no_other_key()

        await until(is_settled, f"after {self} one instance is left, and no key of another", SETTLED_SECONDS)
        assert holder == (served or holder), f"after {self} the holder lost the lease"
        if self.key:
            # A repeat and the first request are one: both were told of the same, or one that it should ask again.
            assert answer.status_code in (409, 503) or answer.json()["id"] == holder, f"{self}: {answer.text}"
        elif answer.status_code == 200 and answer.json()["id"] != holder:
            ended = await self.made.lab.get(INSTANCES, answer.json()["id"])
            assert ended["status"]["reason"] == "ClaimLost", f"after {self} two were promised the deployment"
        else:
            assert answer.status_code in (200, 503), f"{self}: {answer.text}"
        return holder

    async def has_no_other_key(self) -> bool:
        """Whether only instances that live have private keys."""
        secrets, _ = await self.made.lab.client.list(SECRETS, self.made.namespaces.access)
        ended = {obj["metadata"]["name"] for obj in await self.instances() if _has_ended(obj)}
        return not ended & {secret["metadata"]["name"].removeprefix("i-") for secret in secrets}


def _has_ended(obj: Object) -> bool:
    return bool((obj.get("status") or {}).get("endTime"))


async def play(server: ApiServer, folder: Path, chosen: Sequence[tuple[str, Point]]) -> None:
    """Play all cases at the same time."""
    namespaces = await asyncio.to_thread(make_namespaces, server)
    async with release(server, namespaces, folder) as made, made.user("somebody") as somebody:
        await made.operate()
        second = await made.serve()
        firsts = [await made.serve() for _ in chosen]
        cases = [
            Case(made, n, key, point, first) for n, ((key, point), first) in enumerate(zip(chosen, firsts, strict=True))
        ]
        for case in cases:
            await made.lab.type(case.type_name)
            await made.lab.deployment(case.deployment, case.type_name)
            await made.listed(somebody, case.type_name, 1)
        done = await asyncio.gather(*(case.play(second) for case in cases), return_exceptions=True)
        failed = [result for result in done if isinstance(result, BaseException)]
        if failed:
            raise BaseExceptionGroup(f"{len(failed)} of {len(done)} failed, FAULTS_SEED={SEED}", failed)
        await until(lambda: _is_clear(made), "nothing is left of any of them", SETTLED_SECONDS)


async def _is_clear(made: Release) -> bool:
    return not [line for line in await dump(made.lab.client, made.namespaces) if "/i-" in line]


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("held", [True, False], ids=["before", "after"])
@pytest.mark.parametrize("key", POINTS, ids=["no-key", "key"])
async def test_an_api_process_that_was_stopped_at_any_write_takes_nothing_from_anybody(
    apiserver: ApiServer, tmp_path: Path, key: str, held: bool
) -> None:
    await play(apiserver, tmp_path / "release", [(key, Point(write, held)) for write in range(1, POINTS[key] + 1)])


@pytest.mark.short
async def test_an_api_process_that_was_stopped_at_some_write_takes_nothing_from_anybody(
    apiserver: ApiServer, tmp_path: Path
) -> None:
    chance = random.Random(f"{SEED} API pauses")  # noqa: S311 (a seed)
    point = Point(chance.randint(1, POINTS[""]), held=chance.random() < 0.5)
    await play(apiserver, tmp_path / "release", [("", point)])
