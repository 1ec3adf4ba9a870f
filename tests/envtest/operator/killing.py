"""Kills the operator at an event, and starts another."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

from berth_core.kube.types import Kind, Object

from .lab import LEASES, PODS, POLICIES, SECRETS, SERVICES, Lab, condition
from .process import Operators

CHILDREN = (PODS, SERVICES, SECRETS, POLICIES)
Happens = Callable[[str, Object], bool]
"""Of an event's type and object."""


def made(event: str, _obj: Object) -> bool:
    return event == "ADDED"


def deleted(event: str, _obj: Object) -> bool:
    return event == "DELETED"


def is_bound(_event: str, obj: Object) -> bool:
    return condition(obj, "Bound", "status") == "True"


async def kill_when(
    lab: Lab,
    operators: Operators,
    kind: Kind,
    happens: Happens,
    act: Awaitable[object],
    namespace: str = "",
    **environment: str,
) -> None:
    """Do something, kill the operator at the first event of that sort, and start another with that environment."""
    where = namespace or lab.namespace
    _, version = await lab.client.list(kind, where)
    watching = lab.client.watch(kind, where, version)
    acting = asyncio.ensure_future(act)
    async with asyncio.timeout(45):  # the operator may have been started only just now
        async for event in watching:
            if event.type != "BOOKMARK" and happens(event.type, event.object):
                break
    await kill(operators)
    await acting
    await succeed(lab, operators, **environment)


async def kill(operators: Operators) -> None:
    """Kill the operator that was started last."""
    process = operators.running[-1]
    process.send_signal(signal.SIGKILL)
    await asyncio.to_thread(process.wait)


async def succeed(lab: Lab, operators: Operators, **environment: str) -> None:
    """Start another: the one before is surely dead, so nobody need wait for its lease to run out."""
    await lab.client.delete(LEASES, lab.namespaces.release, "berth-operator")
    operators.start(**environment)


async def nothing_left(lab: Lab, public_id: str) -> None:
    for kind in CHILDREN:
        left, _ = await lab.client.list(kind, lab.namespace, labels={"berth.dev/instance": public_id})
        assert left == [], f"{kind.plural} are left"
