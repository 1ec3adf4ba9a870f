"""What one client can cause has bounds: at ten times the allowed rate, with everything that it may do.

`make test` plays a minute, `make test-abuse` an hour (ABUSE_SECONDS). etcd, kube-apiserver with the chart's policies, a
process of each sort, on loopback.
"""

import asyncio
import itertools
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import httpx
import pytest
import yaml
from bench.controller import account, operating
from bench.load import Plan, Request, Sample, generate
from bench.process import Process
from bench.replica import Signer, environment, running

from berth_cluster import apiserver as tiers
from berth_cluster.apiserver import ApiServer
from berth_cluster.commands import run
from berth_cluster.components import ETCD_TOOLS, build
from berth_cluster.paths import REPOSITORY
from berth_cluster.ports import free_port
from berth_cluster.testing import Namespaces, apply_crds, make_namespaces
from berth_core.client import Client, Object, connected
from berth_core.names import API_VERSION
from berth_core.resources import Resource, WorkspaceDeployment, WorkspaceType

from .worst import Worst, silent_receiver

pytestmark = [pytest.mark.apiserver, pytest.mark.alone]

SECONDS: Final = float(os.environ.get("ABUSE_SECONDS", "60"))
ALLOWED: Final = 1.0
"""Requests a second that a token has (`rateLimit.perToken` in `rateLimit.windowSeconds`)."""
TIMES: Final = 10
OTHERS: Final = 40
OTHERS_RATE: Final = 15.0
QUIET_SECONDS: Final = min(SECONDS / 2, 300)
SLOWEST: Final = 3.0
"""Others' p99 may be so many times that of quiet, of which less than LEAST counts as that: a pause of the machine."""
LEAST: Final = 0.05
MOST_GROWTH: Final = 64 << 20
MACHINES: Final = 40


@dataclass(frozen=True)
class Lab:
    """What runs."""

    server: ApiServer
    namespaces: Namespaces
    client: Client
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


@pytest.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    folder = tmp_path_factory.mktemp("abuse")
    with ExitStack() as stack:
        server = stack.enter_context(tiers.running(folder / "server", controllers=True))
        apply_crds(server)
        namespaces, signer = make_namespaces(server), Signer(folder)
        server.kubectl("get", "wt,wd,inst,rsv,fwr,vpnc,acr,acct,tok,trv,proj,bld", "--all-namespaces")
        settings = environment(account(server, namespaces, "berth-api", folder), namespaces, signer.jwks)
        for name in ("BERTH_RATE_LIMIT_PER_TOKEN", "BERTH_RATE_LIMIT_PER_PEER", "BERTH_IDEMPOTENCY_KEYS_PER_USER"):
            del settings[name]
        api = stack.enter_context(running(settings, folder / "api.log"))
        most = yaml.safe_load((REPOSITORY / "charts/berth/values.yaml").read_text())["bounds"]["objects"]
        operator = stack.enter_context(
            operating(
                account(server, namespaces, "berth-operator", folder),
                namespaces,
                folder / "operator.log",
                BERTH_CI_IMAGE="ci.invalid/ci:1",
                BERTH_MOST_OBJECTS=json.dumps(most),
            )
        )
        notifier = stack.enter_context(
            notifying(account(server, namespaces, "berth-notifier", folder), namespaces, folder)
        )
        async with connected("abuse", str(server.kubeconfig)) as client:
            processes = {"api": Process(api.pid), "operator": Process(operator.pid), "notifier": Process(notifier.pid)}
            yield Lab(server, namespaces, client, signer, api.url, processes)


@contextmanager
def notifying(kubeconfig: Path, namespaces: Namespaces, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    keys = folder / "webhook-keys"
    keys.mkdir()
    run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", keys / "ed25519.pem"])
    (keys / "master").write_bytes(b"m" * 32)
    settings = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(kubeconfig),
        "BERTH_NAMESPACE": namespaces.release,
        "BERTH_WORKSPACE_NAMESPACES": namespaces.workspaces,
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
    """A type with machines; their public ids, once they can be had."""
    await make(lab, WorkspaceType, "bench", {"typeName": "bench", "template": {"image": "example.test/it:1"}})
    for number in range(MACHINES):
        await make(lab, WorkspaceDeployment, f"wd-{number}", {"type": "bench"})
    async with httpx.AsyncClient(base_url=lab.url, timeout=30) as http, asyncio.timeout(120):
        for _ in itertools.count():
            found: list[str] = (await http.get("/deployments/bench")).json()["workspace_deployments"]
            if len(found) == MACHINES:
                break
            await asyncio.sleep(0.2)
    return found


async def make(lab: Lab, kind: type[Resource], name: str, spec: Object) -> None:
    body: Object = {"apiVersion": API_VERSION, "kind": kind.KIND, "metadata": {"name": name}, "spec": spec}
    await lab.client.create(kind.api(), lab.namespaces.workspaces, body)


def others(lab: Lab, machines: Sequence[str], seconds: float) -> Plan:
    """What many users do all day: look at lists, at a machine, at what is theirs, and hand back what is gone."""
    requests = []
    for number in range(OTHERS):
        token = lab.signer.token(f"user-{number:02}")
        paths = ("/deployments", "/deployments/bench", f"/deployment/{machines[number]}", "/instances", "/qlen/bench")
        requests += [Request("read", path, token) for path in paths]
        requests += [Request("write", "/new/none", token, '{"reserve": true}')]
    return Plan(lab.url, OTHERS_RATE, seconds, tuple(requests))


def p99(samples: Sequence[Sample]) -> float:
    times = [sample.seconds for sample in samples]
    assert all(sample.status in (200, 404) for sample in samples), {sample.status for sample in samples}
    return quantiles(times, n=100)[98]


def limits() -> dict[str, float]:
    """Memory that the chart gives each process, in MiB."""
    values = yaml.safe_load((REPOSITORY / "charts/berth/values.yaml").read_text())
    return {
        name: float(values[name]["resources"]["limits"]["memory"].removesuffix("Mi"))
        for name in ("api", "operator", "notifier")
    }


@pytest.mark.timeout(SECONDS * 2 + 600)
async def test_one_client_fills_no_store_kills_no_process_and_slows_nobody(lab: Lab) -> None:
    machines = await populated(lab)
    async with httpx.AsyncClient(base_url=lab.url, timeout=30) as http:
        document = (await http.get("/openapi.json")).json()
    quiet = p99(await generate(others(lab, machines, QUIET_SECONDS)))
    before = await asyncio.to_thread(lab.in_use)
    with silent_receiver() as receiver:
        worst = Worst(
            lab.url,
            lab.signer.token("mallory"),
            lab.client,
            lab.namespaces.workspaces,
            "mallory",
            document,
            machines,
            "bench",
            f"http://127.0.0.1:{receiver.getsockname()[1]}/{'x' * 1500}",
        )
        beside, _ = await asyncio.gather(generate(others(lab, machines, SECONDS)), worst.play(ALLOWED * TIMES, SECONDS))
    slowed = p99(beside)
    grown = await asyncio.to_thread(lab.in_use) - before
    resident = {name: process.resident()[1] for name, process in lab.processes.items()}
    told = f"p99 of others {quiet * 1000:.0f} ms quiet, {slowed * 1000:.0f} ms beside; etcd {grown / 2**20:+.1f} MiB"
    print(f"\n{SECONDS:g} s: {told}; most memory, MiB: {resident}; answers: {dict(worst.answers)}")  # noqa: T201
    sent = sum(worst.answers.values())
    assert sent > ALLOWED * TIMES * SECONDS, "both sorts of requests were sent"
    assert worst.answers["200"]
    assert worst.answers["made"]
    assert grown < MOST_GROWTH
    for name, most in limits().items():
        assert resident[name] < most, name
    assert slowed <= SLOWEST * max(quiet, LEAST)
