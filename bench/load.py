"""Sends requests at a given rate, whether or not earlier ones were answered, and times them.

A process of its own: ``python -m bench.load < plan.json > samples.json``. Requests are due at random moments
(exponential gaps, as of clients that do not know of each other), and each is timed from when it was due, so a
server that stalls is charged for every request that had to wait (no coordinated omission). It ends by itself.
"""

import asyncio
import gc
import json
import random
import sys
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Final

import aiohttp
import uvloop

PATIENCE: Final = 10.0
"""Seconds that a request may take; beyond that it counts as failed, with this time."""


@dataclass(frozen=True)
class Request:
    """What to send: ``figure`` is the name under which its time is reported; ``token`` is empty for none."""

    figure: str
    path: str
    token: str = ""


@dataclass(frozen=True)
class Plan:
    """``rate`` requests a second to ``url``, drawn from ``requests``, for so many seconds."""

    url: str
    rate: float
    seconds: float
    requests: tuple[Request, ...]
    seed: int = 1

    def dump(self) -> str:
        """Return the plan as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> "Plan":
        """Read what :meth:`dump` wrote."""
        raw = json.loads(text)
        return cls(**raw | {"requests": tuple(Request(**one) for one in raw["requests"])})


@dataclass(frozen=True)
class Sample:
    """One request: seconds from when it was due until its answer was read; status 0 where none came."""

    figure: str
    seconds: float
    status: int
    size: int


async def run(plan: Plan) -> list[Sample]:
    """Follow the plan."""
    draw = random.Random(plan.seed)  # noqa: S311 (a repeatable load, no secret)
    samples: list[Sample] = []
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(plan.url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

        async def one(request: Request, due: float) -> None:
            headers = {"Authorization": f"Bearer {request.token}"} if request.token else {}
            status, size = 0, 0
            try:
                async with session.get(request.path, headers=headers) as answer:
                    size, status = len(await answer.read()), answer.status
            except (aiohttp.ClientError, TimeoutError):
                status = 0
            samples.append(Sample(request.figure, perf_counter() - due, status, size))

        start = due = perf_counter() + 0.1
        async with asyncio.TaskGroup() as tasks:
            while due - start < plan.seconds:
                await asyncio.sleep(max(0.0, due - perf_counter()))
                tasks.create_task(one(draw.choice(plan.requests), due))
                due += draw.expovariate(plan.rate)
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
