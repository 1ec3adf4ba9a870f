"""The checker of the specification, built from this work tree."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from berth_dev import spec


@dataclass(frozen=True)
class Run:
    """A run of the specification, as a trace."""

    case: str
    is_legal: bool
    lines: tuple[str, ...]


@pytest.fixture(scope="session")
def checker() -> Callable[..., str]:
    """Run the checker; what it prints."""
    spec.build()

    def run(*arguments: str) -> str:
        done = subprocess.run([spec.CHECKER, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def runs(text: str) -> Iterator[Run]:
    """Runs that the checker printed."""
    for part in text.split('{"trace":')[1:]:
        head, *lines = part.splitlines()
        told = json.loads('{"trace":' + head)
        yield Run(told["trace"], told["accept"], tuple(lines))
