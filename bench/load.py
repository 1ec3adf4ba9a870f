"""Sends requests at a given rate, whether or not earlier ones were answered, and times them.

A process of its own: ``python -m bench.load < plan.json > samples.json``. Requests are due at random moments
with exponential gaps, as of clients that do not know of each other. Each is timed from when it was due, so a
server that stalls is charged for every request that had to wait (no coordinated omission). It ends by itself.
"""

import asyncio
import gc
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Final

import aiohttp
import uvloop

from berth_dev.paths import REPOSITORY

PATIENCE: Final = 10.0
"""Seconds that a request may take; beyond that it counts as failed, with this time."""


@dataclass(frozen=True)
class Request:
    """A request to send: ``figure`` is the name under which its time is reported; ``token`` is empty for none.

    A request with a ``body`` (JSON) is a POST.
    """

    figure: str
    path: str
    token: str = ""
    body: str = ""


@dataclass(frozen=True)
class Plan:
    """``rate`` requests a second to ``url``, drawn from ``requests``, for so many seconds.

    With ``together``, so many are sent at the same moment, in their order, at ``rate`` moments a second with even
    gaps.
    """

    url: str
    rate: float
    seconds: float
    requests: tuple[Request, ...]
    seed: int = 1
    together: int = 0

    def dump(self) -> str:
        """Return the plan as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> "Plan":
        """Read the output of :meth:`dump`."""
        raw = json.loads(text)
        return cls(**raw | {"requests": tuple(Request(**one) for one in raw["requests"])})

    def moments(self) -> Iterator[tuple[float, Sequence[Request]]]:
        """Seconds after the start, and the requests due then."""
        draw = random.Random(self.seed)  # noqa: S311 (a repeatable load, no secret)
        due, sent = 0.0, 0
        while due < self.seconds and sent < len(self.requests):
            if self.together:
                yield due, self.requests[sent : sent + self.together]
                due, sent = due + 1 / self.rate, sent + self.together
            else:
                yield due, (draw.choice(self.requests),)
                due += draw.expovariate(self.rate)


@dataclass(frozen=True)
class Sample:
    """One request: seconds from when it was due until its answer was read; status 0 where none came.

    ``due`` is in seconds after the start; ``text`` is the answer to a POST.
    """

    figure: str
    seconds: float
    status: int
    size: int
    due: float = 0.0
    text: str = ""


async def generate(plan: Plan) -> list[Sample]:
    """Run a generator in a process of its own, for the plan's length and some patience at most."""
    command = [sys.executable, "-m", "bench.load"]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY
    )
    try:
        async with asyncio.timeout(plan.seconds + 60):
            output, _ = await process.communicate(plan.dump().encode())
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode != 0:
        raise RuntimeError(f"the generator ended with status {process.returncode}")
    return [Sample(**raw) for raw in json.loads(output)]


async def run(plan: Plan) -> list[Sample]:
    """Follow the plan."""
    samples: list[Sample] = []
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(plan.url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

        async def one(request: Request, due: float) -> None:
            headers = {"Authorization": f"Bearer {request.token}"} if request.token else {}
            method, data = ("POST", request.body.encode()) if request.body else ("GET", None)
            status, answered = 0, b""
            try:
                async with session.request(method, request.path, headers=headers, data=data) as answer:
                    answered, status = await answer.read(), answer.status
            except (aiohttp.ClientError, TimeoutError):
                status = 0
            seconds, text = perf_counter() - start - due, answered.decode() if request.body else ""
            samples.append(Sample(request.figure, seconds, status, len(answered), due, text))

        start = perf_counter() + 0.1
        async with asyncio.TaskGroup() as tasks:
            for due, requests in plan.moments():
                await asyncio.sleep(max(0.0, start + due - perf_counter()))
                for request in requests:
                    tasks.create_task(one(request, due))
    return samples


def main() -> None:
    """Read the plan from standard input, write the samples to standard output."""
    plan = Plan.load(sys.stdin.read())
    gc.freeze()
    gc.disable()  # its pauses would be counted as the server's; the run is short
    samples = uvloop.run(run(plan))
    json.dump([asdict(sample) for sample in samples], sys.stdout)


if __name__ == "__main__":
    main()
