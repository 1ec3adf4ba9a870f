"""Measures how soon a firewall takes effect, on the two-node cluster, from an address outside of it.

``make bench-network`` runs it in the network namespace of an outside client, once with ``networkPolicy.sources: any``
and once with ``exact``. One SYN is sent every 5 ms; each has 50 ms to be answered. From the answer of the API on:

- shut: until the last accepted SYN was sent; open: until the first accepted SYN was sent;
- cut: until the last word from an open ssh session, which sends 50 words a second.

Prints a table in milliseconds; nothing here passes or fails.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final

import httpx
from bench.lease import DEADLINE, POLL_EVERY, until
from rich.console import Console
from rich.progress import track
from rich.table import Table

from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.types import Kind
from berth_core.names import API_VERSION

RULES: Final = Kind(API_VERSION, "firewallrules")
TICKS: Final = "echo aboard; while :; do echo tick; sleep 0.02; done"
QUIET: Final = 1.5
"""Seconds without output after which an open session counts as cut."""
WANTED: Final = {
    "shut": "p95 ≤ 300, p99 ≤ 500",
    "open": "p95 ≤ 300, p99 ≤ 500; exact: p95 ≤ 1500",
    "session cut": "≤ 1000",
}


@dataclass
class Bench:
    """The API, the cluster, the key pair, and the instance under test."""

    api: httpx.AsyncClient
    cluster: Client
    namespace: str
    type: str
    key: Path
    instance: str = ""
    info: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    async def take(self) -> None:
        """Get an instance and wait until it is READY; the former one must have ended."""
        body = {"sshkey": self.key.with_suffix(".pub").read_text()}
        async with asyncio.timeout(DEADLINE):
            while (made := await self.api.post(f"/new/{self.type}", json=body)).status_code == 503:
                await asyncio.sleep(POLL_EVERY)
            self.instance = made.raise_for_status().json()["id"]
            while (info := await self._call("GET", f"/instance/{self.instance}"))["status"] != "READY":
                await asyncio.sleep(POLL_EVERY)
        self.info = info

    async def shuts(self, figure: str, forbid: Callable[[], Awaitable[None]]) -> None:
        """Forbid access, and measure when the port is shut."""
        await forbid()
        self._add(figure, await self._until(opened=False))

    async def opens(self, figure: str) -> None:
        """Allow access by a rule, and measure when the port is open."""
        await self._call("POST", f"/firewall/{self.instance}", {"action": "ACCEPT"})
        self._add(figure, await self._until(opened=True))

    async def clear(self) -> None:
        """Remove all rules, as the API does."""
        await self._call("DELETE", f"/firewall/{self.instance}")

    async def remove_own(self) -> None:
        """Remove the rule for this client's address, and no other."""
        for rule in await self._rules():
            if not rule["metadata"]["name"].startswith("bench-"):
                await self.cluster.delete(RULES, self.namespace, rule["metadata"]["name"])

    async def end(self) -> None:
        """End the lease."""
        await self._call("POST", f"/terminate/{self.instance}")

    async def add_rules(self, count: int) -> None:
        """Add rules for others, and wait until all are in force."""
        for number in range(count):
            spec = {"instance": self.instance, "order": 1000 + number, "source": f"203.0.{number}.0/28"}
            body = {"apiVersion": API_VERSION, "kind": "FirewallRule", "metadata": {"name": f"bench-{number}"}}
            action = ("ACCEPT", "DROP", "REJECT")[number % 3]
            await self.cluster.create(RULES, self.namespace, body | {"spec": spec | {"action": action}})
        async with asyncio.timeout(DEADLINE):
            while not all(_in_force(rule) for rule in await self._rules()):
                await asyncio.sleep(POLL_EVERY)

    async def cuts(self, figure: str, act: Callable[[], Awaitable[None]]) -> None:
        """Open a session, act, and measure when the last word of the session came."""
        process = await asyncio.create_subprocess_exec(
            *self._ssh(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        heard = process.stdout or asyncio.StreamReader()  # a pipe was asked for: there is one
        try:
            async with asyncio.timeout(DEADLINE):
                for _ in range(5):
                    await heard.readline()
            acting = asyncio.create_task(_timed(act))
            last = monotonic()
            while True:
                try:
                    async with asyncio.timeout(QUIET):
                        if not await heard.readline():
                            break
                except TimeoutError:
                    break
                last = monotonic()
            self._add(figure, max(0.0, last - await acting))
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _rules(self) -> list[dict[str, Any]]:
        listed, _ = await self.cluster.list(RULES, self.namespace, fields={"spec.instance": self.instance})
        return listed

    async def _until(self, *, opened: bool) -> float:
        return await until(self.info["fwd"]["ipv4"], self.info["fwd"]["port"], opened=opened)

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = (await self.api.request(method, path, json=body)).raise_for_status()
        return answer.json() if answer.content else None

    def _add(self, figure: str, seconds: float) -> None:
        self.seconds.setdefault(figure, []).append(seconds)

    def _ssh(self) -> list[str]:
        host, port = self.info["fwd"]["ipv4"], self.info["fwd"]["port"]
        known = self.key.parent / f"known-{self.instance}"
        known.write_text("".join(f"[{host}]:{port} {key}\n" for key in self.info["hostkeys"]))
        options = ("StrictHostKeyChecking=yes", f"UserKnownHostsFile={known}", "BatchMode=yes", "IdentitiesOnly=yes")
        words = ["ssh", "-F", "none", "-i", str(self.key), "-p", str(port)]
        return [*words, *(word for option in options for word in ("-o", option)), f"root@{host}", TICKS]


async def _timed(act: Callable[[], Awaitable[None]]) -> float:
    """When it was answered."""
    await act()
    return monotonic()


def _in_force(rule: dict[str, Any]) -> bool:
    conditions = (rule.get("status") or {}).get("conditions") or ()
    return any((c["type"], c["status"]) == ("InForce", "True") for c in conditions)


def table(title: str, seconds: dict[str, list[float]]) -> Table:
    """Return count, p50, p95, p99 and max of each figure, in milliseconds, and its goal."""
    shown = Table("figure", "n", "p50", "p95", "p99", "max", "wanted", title=f"{title}, milliseconds")
    for name, values in seconds.items():
        ordered = sorted(values)
        at = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] for share in (0.5, 0.95, 0.99)]
        wanted = next((text for word, text in WANTED.items() if f"→ {word}" in name), "")
        shown.add_row(name, str(len(ordered)), *(f"{1000 * value:.0f}" for value in (*at, ordered[-1])), wanted)
    return shown


async def _measure(bench: Bench, runs: int) -> None:
    few = max(5, runs // 10)
    progress = Console(stderr=True)
    await bench.take()
    for _ in track(range(runs), "rules", console=progress):
        await bench.shuts("DELETE /firewall answered → shut", bench.clear)
        await bench.opens("POST /firewall answered → open")
    for _ in track(range(few), "sessions", console=progress):
        await bench.cuts("DELETE /firewall answered → session cut", bench.clear)
        await bench.opens("POST /firewall answered → open")
    for count, others in ((1, 0), (200, 199)):
        await bench.add_rules(others)
        for _ in track(range(runs // 4), f"{count} rules", console=progress):
            await bench.shuts(f"of {count}: own rule deleted → shut", bench.remove_own)
            await bench.opens(f"of {count}: POST /firewall answered → open")
    await bench.shuts("of 200: DELETE /firewall answered → shut", bench.clear)
    await bench.end()
    for _ in track(range(few), "ends", console=progress):
        await bench.take()
        await bench.cuts("terminate answered → session cut", bench.end)


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="changes of each kind")
    parser.add_argument("--title", default="firewall", help="title of the table")
    parser.add_argument("--type", default="bench_arm", help="workspace type with a free deployment")
    parser.add_argument("--namespace", default="berth-workspaces")
    parser.add_argument("--api", default=os.environ.get("BERTH_API"), help="base URL; default $BERTH_API")
    options = parser.parse_args()
    headers = {"Authorization": f"Bearer {sys.stdin.readline().strip()}"}
    with tempfile.TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        async with (
            httpx.AsyncClient(base_url=options.api, headers=headers, timeout=DEADLINE) as api,
            connected("berth-bench", os.environ["KUBECONFIG"]) as cluster,
        ):
            bench = Bench(api, cluster, options.namespace, options.type, key)
            try:
                await _measure(bench, options.runs)
            finally:
                Console(width=150).print(table(options.title, bench.seconds))


if __name__ == "__main__":
    asyncio.run(main())
