"""Plays parts of tests, gives a few failures their second run, and leaves the verdict.

A folder has one for each part, with its log, its JUnit file and pytest's cache. Every part runs to its end, so that all
failures are told together.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from berth_dev.envtest import kept
from berth_dev.errors import ClusterError
from berth_dev.gate import again, bodies, outcomes
from berth_dev.gate.outcomes import Outcome
from berth_dev.gate.parts import GATE, MINUTE, Part, Stage, triggered
from berth_dev.gate.plugin import SWITCH
from berth_dev.paths import REPOSITORY

WHOLE_SECONDS: Final = 70 * MINUTE
STOP_SECONDS: Final = 30.0
"""Time for pytest to end its fixtures once it was interrupted."""
LOOK_SECONDS: Final = 0.2
MOST_FAILURES: Final = 20
SECOND: Final = "again"
SECOND_SECONDS: Final = 5 * MINUTE
FIXED: Final = {"SUITE": "gate", "FUZZ_SECONDS": "0", "FUZZ_OBJECTS": "20", SWITCH: ""}
"""The input of `make test` is fixed: parsers have their corpus and one batch of a fixed seed, schemas few objects. No
outcomes of an earlier run count, nor those of a run that this one is a test of."""


@dataclass(frozen=True)
class Players:
    """Runs parts, each as a process of pytest that is stopped in time."""

    repository: Path
    folder: Path
    """Logs and reports, in a folder for each part."""
    environment: Mapping[str, str]
    deadline: float
    words: tuple[str, ...] = ()
    """Words of pytest, for every part."""

    def stage(self, parts: Stage) -> list[Outcome]:
        """Run parts beside each other. The first one's output is shown as it comes, that of others afterwards."""
        with ThreadPoolExecutor(len(parts)) as pool:
            running = [pool.submit(self.play, part, is_shown=part is parts[0]) for part in parts]
            ended = [one.result() for one in running]
        for outcome in ended[1:]:
            sys.stdout.write(outcome.log.read_text(encoding="utf-8", errors="replace"))
        return ended

    def play(self, part: Part, *, is_shown: bool = True) -> Outcome:
        """Run one part to its end, to 20 failures, or to twice its aim."""
        folder = self.folder / part.name
        folder.mkdir(parents=True, exist_ok=True)
        log, report = folder / "log", folder / "junit.xml"
        report.unlink(missing_ok=True)
        began = time.monotonic()
        until = min(began + 2 * part.aim_seconds, self.deadline)
        # A file, not a pipe: what a test leaves running may hold its output open.
        with log.open("wb") as output, log.open("rb") as shown:
            command = [sys.executable, "-m", "pytest", "-p", "berth_dev.gate.plugin", *self.words, *part.words]
            command += [f"--maxfail={MOST_FAILURES}", "--durations=20", f"--junitxml={report}"]
            command += [
                "-o",
                "junit_family=xunit1",
                "-o",
                "junit_duration_report=call",
                "-o",
                f"cache_dir={folder / 'cache'}",
            ]
            process = subprocess.Popen(
                [*("nice", "-n", "19") * part.is_nice, *command],
                cwd=self.repository,
                env={**os.environ, kept.VARIABLE: "", **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            has_ended = False
            while not has_ended:
                has_ended = _ends(process)
                if is_shown:
                    sys.stdout.write(shown.read().decode(errors="replace"))
                    sys.stdout.flush()
                if time.monotonic() > until:
                    _stop(process)
        return Outcome(part.name, process.returncode, time.monotonic() - began, log, *outcomes.read(report))


def gate(repository: Path = REPOSITORY, stages: Sequence[Stage] | None = None, seconds: float = WHOLE_SECONDS) -> None:
    """Play `make test`, and leave the verdict in ``.berth/gate.json``. Raises ClusterError where it is refused."""
    folder, record = repository / ".berth" / "gate", repository / ".berth" / "gate.json"
    shutil.rmtree(folder, ignore_errors=True)
    record.unlink(missing_ok=True)
    before = _tree(repository)
    stages = stages or (*GATE, *triggered(bodies.changed_files(repository)))
    verdict = judge(Players(repository, folder, FIXED, time.monotonic() + seconds), stages)
    tree = before if before == _tree(repository) else None
    record.write_text(json.dumps({"tree": tree, **verdict}, indent=1) + "\n", encoding="utf-8")
    require(verdict, folder)


def judge(players: Players, stages: Sequence[Stage]) -> dict[str, Any]:
    """Play all stages, then what deserves a second run. Return the verdict."""
    ended = [outcome for stage in stages for outcome in players.stage(stage)]
    verdict = again.first(ended, lambda failure: bodies.is_changed(players.repository, failure))
    refusals = verdict.refusals
    if verdict.again:
        ended.append(players.play(Part(SECOND, verdict.again, SECOND_SECONDS)))
        refusals = again.second(ended[-1], verdict.again)
    unsteady = () if refusals else verdict.again
    _tell(ended, refusals, unsteady, _git(players.repository, "rev-parse", "--short=12", "HEAD"))
    return {
        "result": "failed" if refusals else "passed",
        "unsteady": unsteady,
        "missed": [figure for outcome in ended for figure in outcome.missed],
        "refusals": refusals,
        "seconds": {outcome.part: round(outcome.seconds) for outcome in ended},
    }


def require(verdict: Mapping[str, Any], folder: Path) -> None:
    """Raise ClusterError where a verdict is a refusal."""
    if verdict["refusals"]:
        raise ClusterError(f"refused for {len(verdict['refusals'])} reasons, told above; logs are in {folder}")


def _ends(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return True


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Let pytest end its fixtures, then kill it; nothing where it has ended."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _tree(repository: Path) -> str | None:
    """Hash of HEAD's tree, where the work tree is clean."""
    return None if _git(repository, "status", "--porcelain") else _git(repository, "rev-parse", "HEAD^{tree}")


def _git(repository: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=repository, capture_output=True, text=True, check=True).stdout.strip()


def _tell(ended: Sequence[Outcome], refusals: Sequence[str], unsteady: Sequence[str], commit: str) -> None:
    """Print the time of each part, every failure, and the verdict; last a line of counts."""
    lines = [""]
    for outcome in ended:
        counts = f"{outcome.passed} passed, {len(outcome.failures)} failed, {outcome.skipped} skipped"
        lines.append(f"{outcome.part}: {counts} in {outcome.seconds:.0f} s, {outcome.log}")
        lines += [f"  FAILED {failure.node}: {failure.line}" for failure in outcome.failures]
        lines += [f"  MISSED {figure}" for figure in outcome.missed]
    for node in unsteady:
        failure, log = next((f, o.log) for o in ended for f in o.failures if f.node == node)
        lines += [f"UNSTEADY {node}, {failure.line}, {log}"]
        lines += [
            "  [[unsteady]]",
            f"  node = {json.dumps(node)}",
            f'  commit = "{commit}"',
            '  cause = ""',
            "  times = 1",
        ]
    lines += [f"REFUSED {reason}" for reason in refusals]
    first = [outcome for outcome in ended if outcome.part != SECOND]
    passed, skipped = sum(o.passed for o in first), sum(o.skipped for o in first)
    lines.append(f"{passed + len(unsteady)} passed, {len(refusals)} failed, {skipped} skipped")
    sys.stdout.write("\n".join(lines) + "\n")
