"""The operator as a process of its own, and the metrics of its work."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from bench.process import Process
from prometheus_client.parser import text_string_to_metric_families

from berth_dev.envtest.testing import Namespaces
from berth_dev.ports import free_port


@dataclass(frozen=True)
class Passes:
    """Work of the operator: finished passes by sort, failed passes, and the age of its queue."""

    done: dict[str, float]
    failed: float
    age: float
    """Seconds for which the oldest key has waited; 0 while there is nothing to do."""


@dataclass(frozen=True)
class Controller(Process):
    """A running operator; ``begun`` is when it was started, on the monotonic clock."""

    port: int
    begun: float

    async def passes(self) -> Passes | None:
        """Read its metrics; None while it does not listen yet."""
        try:
            async with aiohttp.ClientSession() as session, session.get(self._url("metrics")) as answer:
                text = await answer.text()
        except aiohttp.ClientError:
            return None
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
        done = {s.labels["sort"]: s.value for s in samples if s.name == "berth_operator_reconcile_seconds_count"}
        failed = sum(s.value for s in samples if s.name == "berth_operator_reconcile_failures_total")
        return Passes(done, failed, next(s.value for s in samples if s.name == "berth_operator_queue_age_seconds"))

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}"


@contextmanager
def operating(kubeconfig: Path, namespaces: Namespaces, log: Path, **environment: str) -> Iterator[Controller]:
    """Run an operator for the length of a ``with`` block; it may not listen yet. It ends by SIGTERM."""
    port, begun = free_port(), time.monotonic()
    settings = {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(kubeconfig),
        "BERTH_NAMESPACE": namespaces.release,
        "BERTH_WORKSPACE_NAMESPACES": namespaces.workspaces,
        "BERTH_ACCESS_NAMESPACE": namespaces.access,
        "BERTH_AGENT_IMAGE": "berth.invalid/berth:bench",
        "BERTH_LISTEN": str(port),
    }
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "berth_operator"], env=settings | environment, stdout=output, stderr=output
        )
    try:
        yield Controller(process.pid, port, begun)
    finally:
        process.terminate()
        process.wait(timeout=30)
