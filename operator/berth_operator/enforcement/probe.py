"""Finds out, at the start and then every so often, whether the cluster enforces NetworkPolicy at all (ADR 0015).

The probe's pod listens on two ports; its policy admits the operator to one of them. The pod also tries to connect to
the API server, which its policy forbids. ``decide.py`` judges the outcomes. The verdict is a condition of every
WorkspaceType, written in its pass, and a metric. The leader alone probes, in the first workspace namespace.
"""

import asyncio
import secrets
import time
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Final

import structlog

from berth_core import names
from berth_core.kube.errors import ClusterError
from berth_core.kube.types import Object
from berth_operator.enforcement.decide import Sample, Verdict, judged, settled, unknown, why_not_running
from berth_operator.enforcement.manifests import ADMITTED_PORT, FORBIDDEN_PORT, probe_pod, probe_policy
from berth_operator.engine import metrics
from berth_operator.engine.world import World
from berth_operator.errors import NotLeaderError
from berth_operator.kinds import PODS, POLICIES, TYPE, TYPES

log = structlog.get_logger(__name__)

POD_SECONDS: Final = 120.0
"""From the pod's creation until it runs: an image may have to be pulled."""
SETTLE_SECONDS: Final = 20.0
"""Time that an enforcer has to put a policy in force once the pod runs."""
SOON_SECONDS: Final = 300.0
"""Longest pause after a probe whose verdict is not True."""
PAUSE_SECONDS: Final = 0.3
CONNECT_SECONDS: Final = 0.5
ANSWER_SECONDS: Final = 2.0
CLEAR_SECONDS: Final = 5.0


@dataclass
class Enforcement:
    """The verdict that this process came to last; None before, and while another leads."""

    verdict: Verdict | None = None


async def run(world: World) -> None:
    """Probe again and again while this process leads; return at once where probes are off."""
    interval = world.config.probe_interval
    if interval is None:
        return
    every = interval.total_seconds()
    try:
        while True:
            verdict = await _verdict(world)
            tell(world, verdict)
            await asyncio.sleep(every if verdict.status == "True" else min(every, SOON_SECONDS))
    finally:
        world.state(Enforcement).verdict = None
        metrics.POLICY_ENFORCED.set(-1)


def tell(world: World, verdict: Verdict) -> None:
    """Take a verdict for what is known from now on, and have every type show it."""
    world.state(Enforcement).verdict = verdict
    metrics.POLICY_ENFORCED.set({"True": 1, "False": 0, "Unknown": -1}[verdict.status])
    metrics.POLICY_PROBED.set_to_current_time()
    say = log.info if verdict.status == "True" else log.warning
    say("probed NetworkPolicy", enforced=verdict.status, reason=verdict.reason, message=verdict.message)
    for obj in world.cache[TYPES]:
        world.add(TYPE, obj["metadata"]["namespace"], obj["metadata"]["name"])


async def _verdict(world: World) -> Verdict:
    name, namespace = f"berth-probe-{secrets.token_hex(4)}", world.config.workspace_namespaces[0]
    try:
        await _clear(world, namespace)  # what a killed operator left
        await world.client.create(POLICIES, namespace, probe_policy(name, namespace, world.config))
        await world.client.create(PODS, namespace, probe_pod(name, namespace, world.config))
        return await _watched(world, namespace, name)
    except NotLeaderError:
        return unknown("NotLeading", "another replica leads now")
    except ClusterError as error:
        return unknown("ProbeFailed", str(error))
    finally:
        await _tidy(world, namespace)


async def _tidy(world: World, namespace: str) -> None:
    """Clear at the end, also of a probe that was cancelled; what fails here is the next probe's to clear."""
    try:
        async with asyncio.timeout(CLEAR_SECONDS):
            await _clear(world, namespace)
    except (NotLeaderError, ClusterError, TimeoutError) as error:
        log.warning("a probe's pod is left", namespace=namespace, error=str(error) or type(error).__name__)


async def _watched(world: World, namespace: str, name: str) -> Verdict:
    news: list[Object] = []
    address = None
    with suppress(TimeoutError):  # what was seen last says why
        async with asyncio.timeout(POD_SECONDS):
            address = await _address(world, namespace, name, news)
    if address is None:
        why = why_not_running(news[-1] if news else None)
        return unknown("ProbeNotRunning", f"the probe's pod does not run: {why}")
    samples: list[Sample] = []
    until = time.monotonic() + SETTLE_SECONDS
    while time.monotonic() < until and not settled(samples):
        samples.append(await sample(address, ADMITTED_PORT, FORBIDDEN_PORT))
        await asyncio.sleep(PAUSE_SECONDS)
    return judged(samples)


async def _address(world: World, namespace: str, name: str, news: list[Object]) -> str | None:
    """Address of the pod once it runs; None once it has ended. Each observed version of it is appended to ``news``."""
    fields = {"metadata.name": name}
    while True:
        pods, version = await world.client.list(PODS, namespace, fields=fields)
        news += pods
        if not pods:
            return None
        if address := _running(pods[0]):
            return address
        async with aclosing(world.client.watch(PODS, namespace, version, fields=fields)) as events:
            async for event in events:
                if event.type == "DELETED":
                    return None
                if event.type != "BOOKMARK":
                    news.append(event.object)
                    if address := _running(event.object):
                        return address


def _running(pod: Object) -> str | None:
    status = pod.get("status") or {}
    return status.get("podIP") if status.get("phase") == "Running" else None


async def sample(address: str, admitted: int, forbidden: int) -> Sample:
    """Connect to the forbidden port, then to the admitted one: a pod that goes away meanwhile proves nothing."""
    came_in = await _first_line(address, forbidden) is not None
    line = await _first_line(address, admitted)
    return Sample(came_in, line is not None, {b"open\n": True, b"shut\n": False}.get(line or b""))


async def _first_line(address: str, port: int) -> bytes | None:
    """First line that a connection brings, empty where it brings none; None where there is no connection."""
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await reader.readline()
    except (OSError, TimeoutError):
        return b""
    finally:
        writer.transport.abort()


async def _clear(world: World, namespace: str) -> None:
    """Delete every probe's pod and policy; the policy last, so that none is without."""
    for kind in (PODS, POLICIES):
        remains, _ = await world.client.list(kind, namespace, labels={names.PROBE_LABEL: ""}, metadata_only=True)
        for obj in remains:
            await world.client.delete(kind, namespace, obj["metadata"]["name"], grace_seconds=0)
