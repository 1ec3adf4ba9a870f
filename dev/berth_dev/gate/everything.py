"""`make test-all`: every test with exact bounds and fresh seeds. It goes on where it was interrupted.

``.berth/all/<hash>`` keeps the seed, the outcomes, logs and JUnit files of a tree; documentation is not part of the
hash. A refusal ends the run: the next one begins anew. A green run is recorded in ``tests/record.json``.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from berth_dev.checks.tree import tree
from berth_dev.gate.parts import ALL, MINUTE, Stage
from berth_dev.gate.play import Players, judge, require
from berth_dev.gate.plugin import SWITCH
from berth_dev.paths import REPOSITORY

RECORD: Final = Path("tests/record.json")
LEFT_OUT: Final = (":!docs", ":!*.md", f":!{RECORD}", ":!tests/landed", ":!tests/unsteady.toml")
WHOLE_SECONDS: Final = 150 * MINUTE
SEEDS: Final = ("FAULTS_SEED", "FUZZ_SEED", "FIREWALL_SEED")
LONG_FORMS: Final = ("test-faults", "test-fuzz", "test-abuse", "prove-store")
"""Targets that `RELEASE=1` adds."""


def everything(repository: Path = REPOSITORY, stages: Sequence[Stage] = ALL) -> None:
    """Play `make test-all`. SEED repeats a run. Raises ClusterError where it is refused."""
    name = tree(repository, *LEFT_OUT)
    folder = repository / ".berth" / "all" / name
    folder.mkdir(parents=True, exist_ok=True)
    outcomes, kept = folder / "outcomes", folder / "seed"
    if not kept.is_file() or "SEED" in os.environ:
        kept.write_text(os.environ.get("SEED") or str(random.SystemRandom().randrange(1 << 30)), encoding="utf-8")
    seed = kept.read_text(encoding="utf-8")
    sys.stdout.write(f"SEED={seed}\n")
    environment = dict.fromkeys(SEEDS, seed) | {"SUITE": "all", SWITCH: str(outcomes)}
    words = (f"--hypothesis-seed={seed}",)
    verdict = judge(Players(repository, folder, environment, time.monotonic() + WHOLE_SECONDS, words), stages)
    if not verdict["refusals"]:
        verdict["refusals"] = _long_forms(repository) if os.environ.get("RELEASE") else ()
    for file in (outcomes, kept):
        file.unlink(missing_ok=True)
    require(verdict, folder)
    told = {"tree": name, "date": datetime.now(UTC).date().isoformat(), "release": bool(os.environ.get("RELEASE"))}
    told |= {"seed": seed, **{key: verdict[key] for key in ("result", "unsteady", "missed", "seconds")}}
    (repository / RECORD).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def _long_forms(repository: Path) -> tuple[str, ...]:
    """Run the long forms; the targets that failed."""
    ran = {target: subprocess.run(["make", target], cwd=repository, check=False).returncode for target in LONG_FORMS}
    return tuple(f"make {target} ended with {status}" for target, status in ran.items() if status)
