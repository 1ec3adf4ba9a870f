"""``make prove-mutants``: plays histories with each mutant until one breaks an invariant that the code keeps there."""

import gc
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from .mutants import MUTANTS
from .mutating import DoesNotApplyError, Mutant, install, mutated, source_of

MOST: Final = 2000
"""Histories in which a mutant must be found."""
_FOUND: Final = re.compile(r"^found (\d+) (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Death:
    """How a mutant was found: in which history, and by what; no history where none broke anything."""

    mutant: Mutant
    history: int | None
    what: str


def kill_all(seed: int) -> int:
    """Hunt all mutants, or those of the variable MUTANTS (numbers); print the table. The exit status."""
    words = os.environ.get("MUTANTS")
    numbers = [int(word) for word in words.split(",")] if words else list(range(len(MUTANTS)))
    most = int(os.environ.get("HISTORIES") or MOST)
    for number in numbers:
        mutated(MUTANTS[number], source_of(MUTANTS[number]))
    with ThreadPoolExecutor(int(os.environ.get("PROCESSES") or len(os.sched_getaffinity(0)))) as pool:
        alive = 0
        print("| Mutant | Where | Histories until found | What breaks |\n|---|---|---|---|")
        for death in pool.map(lambda number: _killed(number, seed, most), numbers):
            found = death.history is not None
            alive += not found
            shown = str(death.history + 1) if death.history is not None else f"not in {most}"
            print(f"| {death.mutant.name} | `{death.mutant.where}` | {shown} | {death.what} |", flush=True)
    print(f"{len(numbers) - alive} of {len(numbers)} mutants are found")
    return int(alive > 0)


def _killed(number: int, seed: int, most: int) -> Death:
    """Find a history that breaks with the mutant and not without it."""
    mutant, first = MUTANTS[number], 0
    while first < most:
        said = _run(["mutant", str(number)], SEED=seed, FIRST=first, HISTORIES=most - first)
        found = _FOUND.search(said.stdout)
        if said.returncode or found is None:
            return Death(mutant, None, said.stderr.strip().splitlines()[-1] if said.returncode else "")
        history = int(found[1])
        whole = _run([], SEED=seed, SET=mutant.which, FAULTS=mutant.faults, HISTORY=history)
        if whole.returncode == 0:
            return Death(mutant, history, found[2])
        first = history + 1
    return Death(mutant, None, "")


def _run(words: list[str], **environment: str | int) -> subprocess.CompletedProcess[str]:
    told = {name: str(value) for name, value in environment.items()}
    left = {name: value for name, value in os.environ.items() if name not in ("MUTANTS", "SET", "FAULTS", "HISTORY")}
    command = [sys.executable, "-m", "tests.sim", *words]
    return subprocess.run(command, env=left | told, capture_output=True, text=True, check=False)


def hunt(number: int, seed: int, first: int, most: int) -> int:
    """Play histories with one mutant in this process until one breaks an invariant."""
    mutant = MUTANTS[number]
    install(mutant)
    try:
        from .sets import named, played
    except DoesNotApplyError as error:
        print(error, file=sys.stderr)
        return 2
    faults = tuple(mutant.faults.split(","))
    gc.freeze()
    gc.disable()
    for history in range(first, first + most):
        outcome = played(named(mutant.which, seed, history, faults))
        if outcome.violations:
            print(f"found {history} {outcome.violations[0][1]}")
            return 0
        if history % 10 == 0:
            gc.collect()
    print("not found")
    return 0
