"""Runs the simulation as its own process, for tests: it replaces clocks, and sets must have one order."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def simulation(*words: str, hashes: str = "0", **environment: str | int) -> tuple[int, str]:
    """Run ``python -m tests.sim``; its exit status and what it printed."""
    told = {name: str(value) for name, value in environment.items()}
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [sys.executable, "-m", "tests.sim", *words]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=known | {"PYTHONHASHSEED": hashes} | told,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
