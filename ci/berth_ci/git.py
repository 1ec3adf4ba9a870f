"""Runs git so that it talks to the repository alone, and says in one word what went wrong."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from berth_ci.failures import Failure

PATIENCE: Final = 30.0
"""Seconds for which a repository that cannot be reached is tried again: a new pod's network may need a moment."""
PAUSE: Final = 2.0
GRACE: Final = 2.0
"""Seconds in which git tidies up when its time is over."""
LONGEST_WORDS: Final = 600

DENIED: Final = "RepositoryDenied"
MISSING: Final = "RepositoryNotFound"
UNREACHABLE: Final = "RepositoryUnreachable"
LATE: Final = "RepositoryTooSlow"
FAILED: Final = "GitFailed"
_SIGNS: Final = (
    (
        DENIED,
        "authentication failed|could not read username|could not read password|permission denied"
        "|host key verification failed|returned error: 40[13]|access denied|terminal prompts disabled",
    ),
    (MISSING, "repository .* not found|does not appear to be a git repository|no such repository|returned error: 404"),
    (
        UNREACHABLE,
        "could not resolve host|couldn't connect|failed to connect|connection refused|connection timed out"
        "|operation timed out|timed out|network is unreachable|no route to host|connection reset|early eof"
        "|name or service not known|temporary failure in name resolution|connection closed|kex_exchange_identification",
    ),
)
_NO_REF: Final = re.compile("couldn't find remote ref", re.IGNORECASE)
_NO_OBJECT: Final = re.compile(
    "not our ref|unadvertised object|did not send all necessary objects|unknown revision|not a valid object"
    "|couldn't find remote ref|bad object|no such commit",
    re.IGNORECASE,
)


class GitError(Exception):
    """Git ended with an error; ``words`` are its last lines."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words

    @property
    def lacks_ref(self) -> bool:
        """Whether the repository has no such branch or tag."""
        return bool(_NO_REF.search(self.words))

    @property
    def lacks_object(self) -> bool:
        """Whether it does not give out that commit, or has none such."""
        return bool(_NO_OBJECT.search(self.words))

    @property
    def reason(self) -> str:
        """Cause of the failure, in a word."""
        for reason, signs in _SIGNS:
            if re.search(signs, self.words, re.IGNORECASE):
                return reason
        return FAILED

    def failure(self, doing: str) -> Failure:
        """The same for people."""
        return Failure(self.reason, f"{doing}: {self.words}")


class LateError(GitError):
    """Its time was over before git was done."""

    @property
    def reason(self) -> str:
        """Cause of the failure, in a word."""
        return LATE


@dataclass(frozen=True)
class Git:
    """Git in one folder."""

    folder: Path
    environment: dict[str, str]
    until: float | None = None
    """When it is stopped (by the monotonic clock); None for never."""
    patience: float = PATIENCE

    def run(self, *words: str) -> str:
        """Run it and return what it printed. Raises GitError."""
        process = self._run(words)
        if process.returncode:
            raise GitError(_last_words(process.stderr))
        return process.stdout.decode("utf-8", "replace")

    def succeeds(self, *words: str) -> bool:
        """Whether it ends well."""
        return self._run(words).returncode == 0

    def raw(self, *words: str) -> bytes:
        """Run it and return its output as it is. Raises GitError."""
        process = self._run(words)
        if process.returncode:
            raise GitError(_last_words(process.stderr))
        return process.stdout

    def reach(self, *words: str) -> str:
        """Run what talks to the repository, again and again while that cannot be reached. Raises GitError."""
        until = time.monotonic() + self.patience
        if self.until is not None:
            until = min(until, self.until - PAUSE)
        while True:
            try:
                return self.run(*words)
            except GitError as error:
                if error.reason != UNREACHABLE or time.monotonic() > until:
                    raise
            time.sleep(PAUSE)

    def _run(self, words: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
        command = ["/usr/bin/git", "-C", str(self.folder), *words]
        with subprocess.Popen(  # noqa: S603 (no shell; words that come from outside follow `--` or a ref's prefix)
            command,
            env=os.environ | self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            process_group=0,
            # Python ignores SIGXFSZ, and so does git then: it says that a file is too large, instead of dying silently.
            restore_signals=False,
        ) as process:
            try:
                output, errors = process.communicate(timeout=self._left())
            except subprocess.TimeoutExpired as error:
                _stop(process)
                raise LateError("it was not done in time") from error
        return subprocess.CompletedProcess(command, process.returncode, output, errors)

    def _left(self) -> float | None:
        return None if self.until is None else max(self.until - time.monotonic(), 0.0)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End git and all that it has started, which holds its pipes too."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        os.killpg(process.pid, number)
        try:
            process.communicate(timeout=GRACE)
        except subprocess.TimeoutExpired:
            continue
        return


def _last_words(output: bytes) -> str:
    lines = [line.strip() for line in output.decode("utf-8", "replace").replace("\r", "\n").splitlines()]
    words = " / ".join(line for line in lines[-6:] if line and not line.startswith("hint:"))
    return words if len(words) <= LONGEST_WORDS else f"…{words[-LONGEST_WORDS:]}"
