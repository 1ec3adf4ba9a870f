"""`berth` as people with a token run it: processes against a real API process on a real API server."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..api.conftest import Setting, alice, api, bob, http, setting, signer, world
from ..api.process import Api
from ..api.signing import Signer

__all__ = ["Setting", "alice", "api", "bob", "http", "setting", "signer", "world"]

TOOL = str(Path(sys.executable).with_name("berth"))
SECONDS = 60


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Somebody:
    """A user's machine: home, API and token. No earlier test had a user of this name."""

    name: str
    home: Path
    environment: dict[str, str]

    def berth(self, *words: str, stdin: str = "", **changes: str) -> Done:
        """Run `berth WORDS` to its end."""
        done = subprocess.run(
            [TOOL, *words],
            env=self.environment | changes,
            cwd=self.home,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def begins(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """Start `berth WORDS`; its streams are to be read, and it is ended at the latest with the block."""
        pipe = subprocess.PIPE
        # Where the tests themselves run with SIGINT ignored, as shells start what goes on beside them, this does not.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        with subprocess.Popen(
            [TOOL, *words], env=self.environment, cwd=self.home, stdin=pipe, stdout=pipe, stderr=pipe, text=True
        ) as process:
            signal.signal(signal.SIGINT, before)
            try:
                yield process
            finally:
                process.kill()

    def kept(self, instance: str) -> Path:
        """Where the files of an instance are."""
        return self.home / "data" / "berth" / "instances" / instance


Person = Callable[[str], Somebody]


@pytest.fixture
def person(api: Api, signer: Signer, tmp_path: Path) -> Person:
    """Make somebody with a name, whose token is in the environment."""

    def make(name: str) -> Somebody:
        home = tmp_path / name
        home.mkdir()
        name = f"{name}-{uuid.uuid4().hex[:8]}"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("BERTH_", "REROBOTS_", "XDG_"))}
        kept |= {"HOME": str(home), "XDG_DATA_HOME": str(home / "data"), "XDG_CONFIG_HOME": str(home / "config")}
        kept |= {"COLUMNS": "200", "TERM": "dumb", "KUBECONFIG": str(home / "none"), "PYTHONUNBUFFERED": "1"}
        return Somebody(name, home, kept | {"BERTH_API": api.url, "BERTH_TOKEN": signer.token(name)})

    return make
