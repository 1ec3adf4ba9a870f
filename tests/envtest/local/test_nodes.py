"""The two-node cluster starts and stops at any time, whatever happened before.

In a slot of its own (network, state folder), so that the cluster of the other tests goes on.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from berth_dev.processes import Identity, every_pid

pytestmark = [pytest.mark.nodes, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Spare:
    """A second cluster, run by its command line."""

    state: Path

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "berth_dev", *words],
            env={**os.environ, "BERTH_SLOT": "1", "BERTH_STATE": str(self.state)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def supervisor(self) -> Identity:
        found = Identity.load(self.state / "supervisor.pid")
        assert found is not None
        return found

    def processes(self) -> list[str]:
        """Command lines of processes that name the state folder."""
        named = []
        for pid in every_pid():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if any(str(self.state) in word for word in words):
                named.append(" ".join(words))
        return named


@pytest.fixture
def spare() -> Iterator[Spare]:
    # Sockets in it have at most 107 characters in their path.
    folder = Path(tempfile.mkdtemp(prefix="berth-", dir="/tmp"))
    cluster = Spare(state=folder / "state")
    yield cluster
    cluster.command("stop")
    shutil.rmtree(folder)


@pytest.mark.release(twin="tests/e2e/test_main_job.py")
def test_starts_and_stops_again_and_again_also_after_a_crash(spare: Spare) -> None:
    spare.command("stop")
    spare.command("start")
    first = spare.supervisor()
    spare.command("start")
    assert spare.supervisor() == first, "a second start leaves a running cluster alone"
    assert "down" not in spare.command("status")

    first.send(signal.SIGKILL)
    spare.command("start")
    assert spare.supervisor() != first
    assert spare.supervisor().alive()

    spare.command("stop")
    assert spare.processes() == []
    assert not spare.state.exists()
    assert not list(Path("/run/netns").glob("berth1-*"))
    assert str(spare.state) not in Path("/proc/mounts").read_text()
    spare.command("stop")


@pytest.mark.release(twin="tests/e2e/test_main_job.py")
def test_a_process_that_dies_is_started_again(spare: Spare) -> None:
    spare.command("start")
    killed = Identity.load(spare.state / "pids" / "kube-scheduler")
    assert killed is not None
    killed.send(signal.SIGKILL)
    log = subprocess.Popen(
        ["tail", "-n", "+1", "-F", str(spare.state / "logs" / "supervisor.log")], stdout=subprocess.PIPE, text=True
    )
    assert log.stdout is not None
    starts = 0
    for line in log.stdout:
        starts += '"kube-scheduler"' in line and '"started"' in line
        if starts == 2:
            break
    log.terminate()
    log.wait()
    again = Identity.load(spare.state / "pids" / "kube-scheduler")
    assert again is not None
    assert again != killed
    assert again.alive()
