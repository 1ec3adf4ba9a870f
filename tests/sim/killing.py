"""``make prove-mutants``: plays histories with each mutant until one breaks an invariant that the code keeps there.

Each mutant has a process of its own. What it breaks counts where the same history without it breaks nothing.
"""

import gc
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Final

from . import clocks
from .mutants import MUTANTS
from .mutating import Mutant, install, mutated

MOST: Final = 2000
"""Histories in which a mutant must be found."""
FEW: Final = 10
"""So many are played with each mutant first; what time they leave goes to those that are harder to find."""
MINUTES: Final = 40.0
"""For all mutants together."""
PAGE: Final = Path(__file__).parents[2] / "docs" / "mutants.md"
BEGIN: Final = "<!-- made by make prove-mutants -->\n"
END: Final = "<!-- end -->\n"
HEAD: Final = "| Mutant | In | Set | Histories until found | Breaks |\n|---|---|---|---|---|\n"
_NOT_PASSED_ON: Final = ("SET", "FAULTS", "HISTORY", "PYTHONDONTWRITEBYTECODE")
_SAID: Final = re.compile(r"^(found|not found) (\d+) ?(.*)$", re.MULTILINE)
_PARTICULARS: Final = re.compile(r"robot-\d+|k-\d+|r-\d+|[0-9a-f]{8}-[0-9a-f-]{27}")


@dataclass(frozen=True)
class Hunt:
    """How far the hunt for one mutant has come."""

    mutant: Mutant
    played: int = 0
    found: bool = False
    """Whether the last history that was played broke something."""
    what: str = ""
    """Which invariant."""

    @property
    def row(self) -> str:
        """Of the table."""
        shown = str(self.played) if self.found else f"not in {self.played}"
        mutant = self.mutant
        return f"| {mutant.name} | `{mutant.where}` | {mutant.which} | {shown} | {self.what} |\n"


def kill_all(seed: int) -> int:
    """Hunt all mutants, or those of the variable MUTANTS (numbers); print the table. The exit status.

    A run of all mutants writes the table into the docs.
    """
    for mutant in MUTANTS:
        mutated(mutant)
    words = os.environ.get("MUTANTS")
    chosen = [MUTANTS[int(word)] for word in words.split(",")] if words else list(MUTANTS)
    most, minutes = int(os.environ.get("HISTORIES") or MOST), float(os.environ.get("MINUTES") or MINUTES)
    with TemporaryDirectory(prefix="berth-mutants-") as compiled:
        hunts = _Killing(seed, most, minutes * 60, compiled).of(chosen)
    found = sum(hunt.found for hunt in hunts)
    table = (
        f"{found} of {len(hunts)} mutants are found: seed {seed}, at most {most} histories each, "
        f"{minutes:.0f} minutes in all.\n\n{HEAD}" + "".join(hunt.row for hunt in hunts)
    )
    print(table, end="")
    if not words:
        write(table)
    return int(found < len(hunts))


def write(table: str) -> None:
    """Put the table into the page of the docs."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")


def _now() -> float:
    """Seconds of the real clock."""
    seconds: float = clocks.real["monotonic"]()
    return seconds


class _Killing:
    """One run. Its time is shared out among the mutants that are still to come: quick ones leave theirs to others."""

    def __init__(self, seed: int, most: int, seconds: float, compiled: str) -> None:
        self._seed = seed
        self._most = most
        self._ends = _now() + seconds
        self._waiting = 0
        self._compiled = compiled
        """Folder of compiled modules, which all processes share."""
        self._jobs = int(os.environ.get("JOBS") or len(os.sched_getaffinity(0)))
        self._lock = Lock()

    def of(self, mutants: list[Mutant]) -> list[Hunt]:
        """Hunt until each is found by a history that breaks nothing without it, or enough was played."""
        hunts = {mutant.name: Hunt(mutant) for mutant in mutants}
        with ThreadPoolExecutor(self._jobs) as threads:
            for most in (min(FEW, self._most), self._most):
                pending = [hunt for hunt in hunts.values() if not hunt.found and hunt.played < most]
                while pending:
                    self._waiting = len(pending)
                    done = list(threads.map(partial(self._go_on, most=most), pending))
                    pending = [Hunt(h.mutant, h.played) for h in done if h.found and not self._counts(h)]
                    hunts |= {hunt.mutant.name: hunt for hunt in (*done, *pending)}
        return list(hunts.values())

    def _counts(self, hunt: Hunt) -> bool:
        """Whether the history that found a mutant breaks nothing without it."""
        from .sets import named, played  # the code without a mistake

        plan = named(hunt.mutant.which, self._seed, hunt.played - 1, hunt.mutant.classes)
        return not played(plan).violations

    def _share(self) -> float:
        """Seconds for the next mutant."""
        with self._lock:
            left = max(self._ends - _now(), 0.0)
            share = left * min(1.0, self._jobs / self._waiting)
            self._waiting -= 1
            return share

    def _go_on(self, hunt: Hunt, most: int) -> Hunt:
        seconds = self._share()
        if seconds <= 0.0:
            return hunt
        told: dict[str, int | float | str] = {
            "SEED": self._seed,
            "FIRST": hunt.played,
            "HISTORIES": most,
            "SECONDS": seconds,
            "PYTHONPYCACHEPREFIX": self._compiled,
        }
        left = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
        done = subprocess.run(
            [sys.executable, "-m", "tests.sim", "mutant", str(MUTANTS.index(hunt.mutant))],
            env=left | {name: str(value) for name, value in told.items()},
            capture_output=True,
            text=True,
            check=False,
        )
        said = _SAID.search(done.stdout)
        if done.returncode or said is None:
            raise RuntimeError(f"{hunt.mutant.name}: {done.stderr}")
        hunt = Hunt(hunt.mutant, int(said[2]), said[1] == "found", _PARTICULARS.sub("*", said[3]))
        print(hunt.row, end="", file=sys.stderr, flush=True)
        return hunt


def hunt_one(number: int, seed: int, first: int, most: int, seconds: float) -> None:
    """Play histories with one mutant in this process until one breaks an invariant, or the time is up."""
    ends = _now() + seconds
    mutant = MUTANTS[number]
    install(mutant)
    from .sets import named, played

    gc.freeze()
    gc.disable()
    history = first
    while history < most and _now() < ends:
        outcome = played(named(mutant.which, seed, history, mutant.classes))
        history += 1
        if outcome.violations:
            print(f"found {history} {outcome.violations[0][1]}")
            return
        if history % 10 == 0:
            gc.collect()
    print(f"not found {history}")
