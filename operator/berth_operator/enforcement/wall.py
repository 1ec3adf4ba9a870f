"""Runs first in pods without an agent (ADR 0052): ``… wall SECONDS CONTROL CANARY ADDRESS…``.

It ends well once the pod's NetworkPolicy is in force: the canary was out of reach STEADY times in a row at each
address, and its control port answered after each of these. After SECONDS it gives up, and its last line says why.
Standard library only.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

STEADY: Final = 3
"""Samples in a row that must say the same: a policy that is being put in force may flicker."""
TRIES: Final = 3
"""Connections to the canary in one sample. The Service has two pods, and one of them may just have died."""
PATIENCE: Final = 0.2
"""Shortest wait for an answer, for both ports alike: an open canary answers as quickly as its control port does."""
LONGEST: Final = 2.0
"""Longest wait, which a slow network comes to."""
SLOWER: Final = 4
"""An answer may take so many times what the last one took."""
PAUSE_SECONDS: Final = 0.05


class Sample(Enum):
    """Outcome of a look at one address."""

    SHUT = "shut"
    OPEN = "open"
    """The canary could be reached."""
    SILENT = "silent"
    """Neither port could be reached: that proves nothing."""


NO_SERVICE: Final = (
    "there is no Service berth-canary to try whether NetworkPolicy keeps the pod from machines: upgrade the release"
    " with its chart, then restart the operator"
)


@dataclass(frozen=True)
class Canary:
    """A canary and its control, at one address."""

    address: str
    control: int
    """Port that the pod's policy lets it reach."""
    port: int
    """Port that it does not; the same process listens there."""

    def why_not(self, last: Sample | None, seconds: float) -> str:
        """Why the pod is not let on, by the last sample, and what to do."""
        if last is Sample.OPEN:
            return (
                f"for {seconds:g} s no NetworkPolicy kept the pod from {self.address} port {self.port}, so nothing"
                " keeps it from machines: see to the cluster's network plugin; where its pods have networks of their"
                " own, add these to the value instances.blockedCidrs"
            )
        return (
            f"for {seconds:g} s the Service berth-canary ({self.address} port {self.control}) did not answer steadily,"
            " so it is not known whether NetworkPolicy keeps the pod from machines: see to the Deployment berth-canary"
            " and to the node's network, then try again"
        )


async def stands(canaries: Sequence[Canary], seconds: float) -> str:
    """Wait until the wall stands before all canaries. Return an empty text then, else why it was not seen to."""
    until = time.monotonic() + seconds
    if not canaries:
        return NO_SERVICE
    for canary in canaries:
        row, last, patience = 0, None, PATIENCE
        while row < STEADY:
            if time.monotonic() >= until:
                return canary.why_not(last, seconds)
            last, patience = await sample(canary, patience)
            row = row + 1 if last is Sample.SHUT else 0
            await asyncio.sleep(PAUSE_SECONDS)
    return ""


async def sample(canary: Canary, patience: float = PATIENCE) -> tuple[Sample, float]:
    """Look at the canary, then at its control port: one that goes away meanwhile proves nothing.

    ``patience`` are seconds to wait for an answer; those for the next sample are returned besides.
    """
    if any(await asyncio.gather(*(_reached(canary.address, canary.port, patience) for _ in range(TRIES)))):
        return Sample.OPEN, patience
    began = time.monotonic()
    if not await _answers(canary.address, canary.control, patience):
        return Sample.SILENT, min(2 * patience, LONGEST)
    return Sample.SHUT, min(max(SLOWER * (time.monotonic() - began), PATIENCE), LONGEST)


async def _reached(address: str, port: int, patience: float) -> bool:
    try:
        async with asyncio.timeout(patience):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.transport.abort()
    return True


async def _answers(address: str, port: int, patience: float) -> bool:
    """Whether a connection comes about, and a line over it."""
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    try:
        async with asyncio.timeout(patience):
            return bool(await reader.readline())
    except (OSError, TimeoutError):
        return False
    finally:
        writer.transport.abort()


if __name__ == "__main__":
    given, control, port, *addresses = sys.argv[1:]
    sys.exit(asyncio.run(stands([Canary(one, int(control), int(port)) for one in addresses], float(given))) or 0)
