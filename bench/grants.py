"""Leases that are granted by the API alone: at a steady rate, at rising rates, and many clients for one deployment."""

import json
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from bench.load import Plan, Request, Sample, generate
from bench.population import HOST_KEY, USERS, Population, in_parallel
from bench.replica import Replica, Signer
from bench.report import Report

from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_core.leases import leasing
from berth_core.leases.availability import Lease
from berth_core.resources import Instance, WorkspaceDeployment

ASKED: Final = 45.0
"""Requested grants a second."""
STEPS: Final = (60.0, 80.0, 100.0, 120.0, 140.0, 160.0, 180.0, 200.0)
"""Rising rates of grants a second, tried until one is too high."""
STEP_SECONDS: Final = 15.0
SLOWEST: Final = 0.150
"""The p99 beyond which a rate is too high, in seconds."""
CLIENTS: Final = 64
ROUNDS: Final = 25
ROUND_RATE: Final = 1.0
"""Rounds a second, so that one is over before the next."""
BUSY: Final = "All matching workspace deployments are busy. Try again later."


class GrantedTwiceError(Exception):
    """A deployment that many users asked for at once was granted to more than one of them."""


def _grant(figure: str, target: str, token: str) -> Request:
    return Request(figure, f"/new/{target}", token, json.dumps({"sshkey": HOST_KEY, "expire_d": 3600}))


async def granting(
    report: Report, replica: Replica, client: Client, found: Population, signer: Signer, seconds: float
) -> None:
    """Ask for any deployment of a type, again and again, at ``ASKED`` and then at rising rates."""
    tokens = [signer.token(f"user-{n:02}") for n in range(USERS)]
    requests = tuple(_grant("grant", kind, token) for kind in found.types for token in tokens)
    plan = Plan(replica.url, ASKED, seconds, requests)
    await generate(replace(plan, rate=20.0, seconds=2.0, seed=7))  # the first requests meet cold connections
    name, samples = f"grant, {ASKED:.0f}/s", list[Sample]()
    busy = replica.cpu()
    samples = await generate(plan)
    report.others[f"{name}: processor of the API, %"] = 100 * (replica.cpu() - busy) / seconds
    _note(report, name, samples)
    await clear(client, found)
    ceiling = 0.0
    for rate in STEPS:
        samples = await generate(replace(plan, rate=rate, seconds=min(seconds, STEP_SECONDS), seed=int(rate)))
        p99, achieved = _note(report, f"grant, {rate:.0f}/s", samples)
        await clear(client, found)
        if p99 > SLOWEST or achieved < 0.97 * rate:
            break
        ceiling = achieved
    report.others["most grants a second with p99 within 150 ms"] = ceiling


def _note(report: Report, name: str, samples: list[Sample]) -> tuple[float, float]:
    """Add a load's result; return its p99 in seconds, and grants a second until the last answer."""
    report.add(name, (s.seconds for s in samples))
    granted = [s for s in samples if s.status == 200 and json.loads(s.text)["success"]]
    achieved = len(granted) / max(s.due + s.seconds for s in samples)
    report.others[f"{name}: grants a second"] = achieved
    report.others[f"{name}: answers that were no grant"] = len(samples) - len(granted)
    return report.times[name]["p99"] / 1000, achieved


async def contesting(report: Report, replica: Replica, client: Client, found: Population, signer: Signer) -> None:
    """Let many users ask for one deployment at the same moment. Raises GrantedTwiceError where two get it."""
    tokens = [signer.token(f"client-{n:02}") for n in range(CLIENTS)]
    ids = found.deployments[-ROUNDS:]
    requests = tuple(_grant(target, target, token) for target in ids for token in tokens)
    samples = await generate(Plan(replica.url, ROUND_RATE, ROUNDS / ROUND_RATE, requests, together=CLIENTS))
    rounds: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        rounds[sample.figure].append(sample)
    won = Counter({target: sum(s.status == 200 for s in asked) for target, asked in rounds.items()})
    lost = [s for s in samples if s.status != 200]
    name = f"{CLIENTS} at once for one deployment"
    report.add(f"{name}: losers", (s.seconds for s in lost))
    report.add(f"{name}: winners", (s.seconds for s in samples if s.status == 200))
    report.others[f"{name}: rounds"] = len(rounds)
    report.others[f"{name}: rounds without exactly one winner"] = sum(won[target] != 1 for target in ids)
    report.others[f"{name}: losers without any answer"] = sum(s.status == 0 for s in lost)
    odd = [s for s in lost if s.status != 503 or json.loads(s.text).get("result_message") != BUSY]
    report.others[f"{name}: losers who were told anything but busy"] = len(odd)
    leases = [wd for wd in await _held(client, found) if wd.public_id in ids]
    report.others[f"{name}: leases that were taken"] = len(leases)
    await clear(client, found)
    if most := [target for target in ids if won[target] > 1]:
        raise GrantedTwiceError(f"{len(most)} of {ROUNDS} deployments were granted to more than one")


async def clear(client: Client, found: Population) -> None:
    """Remove instances and leases of the loads, as if they had ended; no operator runs that could."""
    kept = {instance for instance, _ in found.instances}
    held, namespace = await _held(client, found), found.namespace
    listed, _ = await client.list(Instance.api(), namespace, metadata_only=True)
    made = [obj for obj in listed if obj["metadata"]["name"] not in kept]

    async def delete(obj: Object) -> None:
        if obj["metadata"].get("finalizers"):
            body: Object = {"metadata": {"finalizers": None}}
            await client.patch(Instance.api(), namespace, obj["metadata"]["name"], body)
        await client.delete(Instance.api(), namespace, obj["metadata"]["name"])

    async def free(wd: WorkspaceDeployment) -> None:
        if wd.status.lease is not None:
            lease, holder = Lease(wd.metadata.name, wd.status.epoch), wd.status.lease.instance
            now = datetime.now(UTC)
            await leasing.give_back(client, namespace, lease, instance=holder, completed=True, now=now)

    await in_parallel(delete(obj) for obj in made)
    await in_parallel(free(wd) for wd in held)


async def _held(client: Client, found: Population) -> list[WorkspaceDeployment]:
    """Deployments with a lease that a load took."""
    kept = {instance for instance, _ in found.instances}
    listed, _ = await client.list(WorkspaceDeployment.api(), found.namespace)
    every = [WorkspaceDeployment.parse(obj) for obj in listed]
    return [wd for wd in every if wd.status.lease is not None and wd.status.lease.instance not in kept]
