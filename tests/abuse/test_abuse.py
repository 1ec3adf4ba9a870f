"""One client is bounded in all that it can cause: at ten times the allowed rate, with everything that it may do.

`make test-abuse` plays an hour (ABUSE_SECONDS) with the chart's bounds, `make test-all` a minute with bounds as much
smaller, so that they are reached too. etcd, kube-apiserver and kube-controller-manager with the chart installed; a
process of each sort with the chart's rights; the client has a token and the role `berth-user`. There are no nodes, so
no build gets to its log: what bounds those, tests/envtest/operator/test_bounds.py and test_archive.py show.
"""

import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import httpx
import pytest
import yaml
from bench.controller import operating
from bench.load import Plan, Request, Sample, generate
from bench.process import Process
from bench.replica import Signer, environment, running

from berth_cli.jobs.keys import ensure_keys
from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.types import Object
from berth_core.names import API_VERSION
from berth_core.resources import Resource, WorkspaceDeployment, WorkspaceType
from berth_dev.commands import run
from berth_dev.components import ETCD_TOOLS, HELM, build
from berth_dev.envtest import apiserver as tiers
from berth_dev.envtest.accounts import speaking_for
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces
from berth_dev.gate.outcomes import MISSED
from berth_dev.paths import REPOSITORY
from berth_dev.ports import free_port

from ..envtest.chart.conftest import ACCESS, NAMESPACE, WORKSPACES, Helm, introduce, policies_hold
from .worst import Worst, silent_receiver

pytestmark = [
    pytest.mark.apiserver,
    pytest.mark.alone,
    pytest.mark.release(twin="tests/envtest/operator/test_bounds.py"),
]

SECONDS: Final = float(os.environ.get("ABUSE_SECONDS", "60"))
SHARE: Final = min(SECONDS / 3600, 1)
"""Of an hour, and of the chart's bounds."""
ALLOWED: Final = 1.0
"""Requests a second that a token has (`rateLimit.perToken` in `rateLimit.windowSeconds`)."""
TIMES: Final = 10
OTHERS: Final = 40
OTHERS_RATE: Final = 15.0
QUIET_SECONDS: Final = min(SECONDS / 2, 300)
SLOWEST: Final = 3.0
"""Others' p99 may be so many times that of quiet. In a short run a quiet one below LEAST counts as that, and a miss is
told and recorded: kube-apiserver lets a live list wait up to 100 ms wherever anybody writes (performance.md)."""
LEAST: Final = 0.05 if SHARE < 1 else 0.0
MOST_SECONDS: Final = 1.0
"""Others' p99 at most, however slow they are in quiet."""
MOST_GROWTH: Final = 16 << 20 if SHARE < 1 else 64 << 20
MACHINES: Final = 40
NAMESPACES: Final = Namespaces(release=NAMESPACE, workspaces=WORKSPACES, access=ACCESS)
MALLORY: Final = f"system:serviceaccount:{NAMESPACE}:mallory"
VALUES: Final[Any] = yaml.safe_load((REPOSITORY / "charts/berth/values.yaml").read_text())


def scaled(most: int, least: int = 20) -> str:
    return str(max(least, int(most * SHARE)))


@dataclass(frozen=True)
class Lab:
    """Processes and clients of a test."""

    server: ApiServer
    client: Client
    mallory: Client
    """With the role `berth-user`."""
    signer: Signer
    url: str
    processes: dict[str, Process]

    def in_use(self) -> int:
        """Bytes of etcd's store that are in use, compacted first."""
        tools, pki = build((ETCD_TOOLS,)), self.server.kubeconfig.parent / "pki"
        flags = json.loads((self.server.kubeconfig.parent / "processes" / "etcd.json").read_text())["command"]
        (url,) = [flag.partition("=")[2] for flag in flags if flag.startswith("--listen-client-urls=")]
        keys = [f"--cacert={pki}/ca.crt", f"--cert={pki}/etcd.crt", f"--key={pki}/etcd.key", f"--endpoints={url}"]

        def etcdctl(*words: str) -> str:
            return run([tools.path("etcdctl"), *keys, *words]).stdout

        def status() -> Any:
            return json.loads(etcdctl("endpoint", "status", "-w", "json"))[0]["Status"]

        etcdctl("compaction", "--physical", str(status()["header"]["revision"]))
        return int(status()["dbSizeInUse"])


def bounds() -> dict[str, str]:
    """Return the bounds that the chart tells the operator, for the length of the run."""
    history, kept = VALUES["history"], VALUES["bounds"]
    return {
        "BERTH_MOST_OBJECTS": json.dumps(kept["objects"]),
        "BERTH_MOST_EACH": json.dumps({kind: int(scaled(most)) for kind, most in kept["each"].items()}),
        "BERTH_HISTORY_PER_USER": scaled(history["perUser"]),
        "BERTH_HISTORY_BYTES_PER_USER": scaled(history["bytesPerUser"], 1 << 20),
    }


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    folder = tmp_path_factory.mktemp("abuse")
    async with AsyncExitStack() as stack:
        server = stack.enter_context(tiers.running(folder / "server", controllers=True))
        Helm(build((HELM,)).path("helm"), server).install()
        server.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        server.kubectl("get", "wt,wd,inst,rsv,fwr,vpnc,acr,acct,tok,trv,proj,bld", "--all-namespaces")
        policies_hold(server)
        server.kubectl("delete", "wd,wt", "--all", "-n", WORKSPACES)
        client = await stack.enter_async_context(connected("abuse", str(server.kubeconfig)))
        await ensure_keys(client, NAMESPACE, datetime.now(UTC))
        server.kubectl("create", "serviceaccount", "mallory", "-n", NAMESPACE)
        introduce(server, MALLORY, "berth-user")
        signer = Signer(folder)
        settings = environment(speaking_for(server, "berth-api", NAMESPACE, folder), NAMESPACES, signer.jwks)
        for name in ("BERTH_RATE_LIMIT_PER_TOKEN", "BERTH_RATE_LIMIT_PER_PEER", "BERTH_IDEMPOTENCY_KEYS_PER_USER"):
            del settings[name]
        api = stack.enter_context(running(settings, folder / "api.log"))
        controller = speaking_for(server, "berth-operator", NAMESPACE, folder)
        operator = stack.enter_context(
            operating(controller, NAMESPACES, folder / "operator.log", BERTH_CI_IMAGE="ci.invalid/ci:1", **bounds())
        )
        notifier = stack.enter_context(notifying(speaking_for(server, "berth-notifier", NAMESPACE, folder), folder))
        own = speaking_for(server, "mallory", NAMESPACE, folder)
        mallory = await stack.enter_async_context(connected("kubectl", str(own)))
        processes = {"api": Process(api.pid), "operator": Process(operator.pid), "notifier": Process(notifier.pid)}
        yield Lab(server, client, mallory, signer, api.url, processes)


@contextmanager
def notifying(kubeconfig: Path, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    keys = folder / "webhook-keys"
    keys.mkdir()
    run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", keys / "ed25519.pem"])
    (keys / "master").write_bytes(b"m" * 32)
    settings = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(kubeconfig),
        "BERTH_NAMESPACE": NAMESPACE,
        "BERTH_WORKSPACE_NAMESPACES": WORKSPACES,
        "BERTH_WEBHOOK_ALLOWED_CIDRS": "127.0.0.1/32",
        "BERTH_WEBHOOK_KEYS": str(keys),
        "BERTH_LISTEN": str(free_port()),
    }
    with (folder / "notifier.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-m", "berth_notifier"], env=settings, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


async def populated(lab: Lab) -> list[str]:
    """Two types, the second for others, with machines; public ids of the first one's, once they can be had."""
    for name in ("bench", "theirs"):
        await make(lab, WorkspaceType, name, {"typeName": name, "template": {"image": "example.test/it:1"}})
        for number in range(MACHINES):
            await make(lab, WorkspaceDeployment, f"{name}-{number}", {"type": name})
    async with httpx.AsyncClient(base_url=lab.url, timeout=30) as http, asyncio.timeout(120):
        for name in itertools.cycle(("theirs", "bench")):
            found: list[str] = (await http.get(f"/deployments/{name}")).json()["workspace_deployments"]
            if name == "bench" and len(found) == MACHINES:
                return found
            await asyncio.sleep(0.2)
    raise AssertionError("a cycle has no end")


async def settled(lab: Lab) -> None:
    """Return once the operator has written nothing of the machines for two seconds: until then it is not quiet."""
    versions, before = set[str](), None
    async with asyncio.timeout(60):
        while versions != before:
            await asyncio.sleep(2)
            machines, _ = await lab.client.list(WorkspaceDeployment.api(), WORKSPACES)
            versions, before = {machine["metadata"]["resourceVersion"] for machine in machines}, versions


async def make(lab: Lab, kind: type[Resource], name: str, spec: Object) -> None:
    body: Object = {"apiVersion": API_VERSION, "kind": kind.KIND, "metadata": {"name": name}, "spec": spec}
    await lab.client.create(kind.api(), WORKSPACES, body)


def others(lab: Lab, machines: Sequence[str], seconds: float) -> Plan:
    """Plan what many users do all day: look at lists, a machine and a queue, and ask for a type that is not there."""
    requests = []
    for number in range(OTHERS):
        token = lab.signer.token(f"user-{number:02}")
        paths = ("/deployments", "/deployments/bench", f"/deployment/{machines[number]}", "/instances", "/qlen/bench")
        requests += [Request(f"GET {path.replace(machines[number], 'ID')}", path, token) for path in paths]
        requests += [Request("POST /new/none", "/new/none", token, '{"reserve": true}')]
    return Plan(lab.url, OTHERS_RATE, seconds, tuple(requests))


async def others_lease(lab: Lab, seconds: float) -> tuple[int, list[str]]:
    """Others get machines and give them back, one after the other: how often, and what they were refused."""
    loop, done, refused = asyncio.get_running_loop(), 0, list[str]()
    until = loop.time() + seconds
    async with httpx.AsyncClient(base_url=lab.url, timeout=30) as http:
        while loop.time() < until:
            user = f"user-{done % OTHERS:02}"
            http.headers["Authorization"] = f"Bearer {lab.signer.token(user)}"
            made = await http.post("/new/theirs")
            if "Try again" in made.text:  # as a client does; the operator has just written
                continue
            ended = await http.post(f"/terminate/{made.json().get('id')}")
            refused += [answer.text for answer in (made, ended) if answer.status_code != 200]
            done += 1
            await asyncio.sleep(seconds / 20)
    return done, refused


def p99(samples: Sequence[Sample]) -> float:
    times = [sample.seconds for sample in samples]
    assert all(sample.status in (200, 404) for sample in samples), {sample.status for sample in samples}
    return quantiles(times, n=100)[98]


def by_request(samples: Sequence[Sample]) -> dict[str, int]:
    """p99 of each sort of request, in milliseconds."""
    sorts = {sample.figure for sample in samples}
    return {sort: round(p99([sample for sample in samples if sample.figure == sort]) * 1000) for sort in sorted(sorts)}


def limits() -> dict[str, float]:
    """Memory that the chart gives each process, in MiB."""
    return {
        name: float(VALUES[name]["resources"]["limits"]["memory"].removesuffix("Mi"))
        for name in ("api", "operator", "notifier")
    }


@pytest.mark.timeout(SECONDS * 2 + 600)
async def test_one_client_fills_no_store_kills_no_process_and_slows_nobody(
    lab: Lab, record_property: Callable[[str, object], None]
) -> None:
    machines = await populated(lab)
    await settled(lab)
    async with httpx.AsyncClient(base_url=lab.url, timeout=30) as http:
        document = (await http.get("/openapi.json")).json()
    quiet = await generate(others(lab, machines, QUIET_SECONDS))
    before = await asyncio.to_thread(lab.in_use)
    with silent_receiver() as receiver:
        worst = Worst(
            lab.url,
            lab.signer.token(MALLORY),
            lab.mallory,
            WORKSPACES,
            MALLORY,
            document,
            machines,
            "bench",
            f"http://127.0.0.1:{receiver.getsockname()[1]}/{'x' * 1500}",
        )
        async with asyncio.TaskGroup() as tasks:
            beside = tasks.create_task(generate(others(lab, machines, SECONDS)))
            leasing = tasks.create_task(others_lease(lab, SECONDS))
            tasks.create_task(worst.play(ALLOWED * TIMES, SECONDS))
    rested, slowed, (leased, refused) = p99(quiet), p99(beside.result()), leasing.result()
    grown = await asyncio.to_thread(lab.in_use) - before
    resident = {name: process.resident()[1] for name, process in lab.processes.items()}
    told = f"p99 of others {rested * 1000:.0f} ms quiet, {slowed * 1000:.0f} ms beside; etcd {grown / 2**20:+.1f} MiB"
    answers = dict(sorted(worst.answers.items()))
    told += f"; most memory, MiB: {resident}; leases of others: {leased}; answers: {answers}"
    told += f"; by request {by_request(quiet)} quiet, {by_request(beside.result())} beside"
    print(f"\n{SECONDS:g} s: {told}")  # noqa: T201 (the figures)
    assert sum(worst.answers.values()) > ALLOWED * TIMES * SECONDS, "both sorts of requests were sent"
    assert worst.answers["200"]
    assert worst.answers["made"]
    assert worst.answers["refused 403"], "so many of a kind are for one user, and no more"
    assert (leased > 0, refused) == (True, []), "others get machines and places in the queue"
    assert grown < MOST_GROWTH
    for name, most in limits().items():
        assert resident[name] < most, name
    assert slowed < MOST_SECONDS
    if slowed > SLOWEST * max(rested, LEAST):
        assert SHARE < 1, told
        record_property(MISSED, f"{SLOWEST:g} times of quiet (of {LEAST * 1000:g} ms at least) are wanted: {told}")
