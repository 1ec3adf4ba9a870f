"""Clones a repository into a workspace before that starts, and reports how it went in the termination message.

It always ends with success: the workspace starts after it, with a clone or without. It never touches files that it
finds in the folder: where the whole pod was started again they are the holder's work. It stays below its bounds by
itself, since a pod that a node evicts for its disk is made again, and would be evicted again.
"""

import json
import os
import resource
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from berth_ci.credentials import environment
from berth_ci.failures import Failure
from berth_ci.fetch import LONGEST_MESSAGE
from berth_ci.git import DENIED, LATE, MISSING, UNREACHABLE, Git, GitError
from berth_ci.places import CLONE, SCRATCH, TERMINATION

PATIENCE: Final = 10.0
"""Seconds for which a repository that cannot be reached is tried again: the holder waits for the shell."""
END: Final = 0.1
"""Share of the time that is left for tidying up and reporting."""
MEMORY: Final = 512 * 1024 * 1024
"""Bytes of address space for each process of git, of which two work at a time: the container has twice that."""
FRUGAL: Final = tuple(
    word
    for setting in (
        "pack.threads=1",
        "core.packedGitWindowSize=16m",
        "core.packedGitLimit=128m",
        "core.deltaBaseCacheLimit=32m",
        "core.bigFileThreshold=16m",
        "fetch.unpackLimit=1",
    )
    for word in ("-c", setting)
)

TOO_LARGE: Final = "RepositoryTooLarge"
OCCUPIED: Final = "FolderOccupied"
STOPPED: Final = "CloneStopped"
BROKEN: Final = "CloneBroken"
INSIDE: Final = "clone it inside, where there is no limit but the machine's own, such as with --depth 1"
ADVICE: Final = {
    STOPPED: INSIDE,
    DENIED: "only public repositories are cloned: clone it inside, with your own credentials",
    MISSING: "correct the URL, or clone it inside",
    UNREACHABLE: "correct the URL; the type says where workspaces may connect to (network.egress)",
    LATE: f"if the type lets workspaces connect there (network.egress), it is large or its server slow: {INSIDE}",
    TOO_LARGE: INSIDE,
}
_FAILED: Final = "the repository could not be cloned"
_MIDWAY: Final = "cloning was stopped midway, perhaps for want of memory; the clone is incomplete"
_TOO_LARGE_SIGNS: Final = ("file too large", "cannot allocate memory", "out of memory")


@dataclass(frozen=True)
class Folders:
    """Folders of the clone and of notes on it: the notes last as long as the clone."""

    clone: Path = CLONE
    state: Path = SCRATCH

    @property
    def begun(self) -> Path:
        """There when a run has begun."""
        return self.state / "begun"

    @property
    def outcome(self) -> Path:
        """There when one has ended: what it reported."""
        return self.state / "outcome"


def main() -> int:
    """Clone and report; the exit code is 0 whatever the outcome."""
    signal.signal(signal.SIGTERM, _leave)
    url, seconds, most = os.environ["BERTH_REPO_URL"], float(os.environ["BERTH_SECONDS"]), _most()
    _say(f"cloning {url}")
    limit(most)
    report = reported(url, Folders(), seconds, most)
    TERMINATION.write_text(json.dumps(report), encoding="utf-8")
    _say(f"commit {report['commit']}" if "commit" in report else f"{report['error']}: {report['message']}")
    return 0


def limit(most: int) -> None:
    """Set limits for git, which has them from this process: bytes of a file, and of memory."""
    for which, value in ((resource.RLIMIT_FSIZE, most), (resource.RLIMIT_AS, MEMORY)):
        _, hard = resource.getrlimit(which)
        resource.setrlimit(which, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))


def reported(url: str, folders: Folders, seconds: float, most: int) -> dict[str, str]:
    """Clone, if that was not tried before; return `commit` (empty for none), or `error` and `message`."""
    if folders.outcome.exists():
        outcome: dict[str, str] = json.loads(folders.outcome.read_text(encoding="utf-8"))
        return outcome
    report = _failed(Failure(STOPPED, _MIDWAY)) if folders.begun.exists() else _tried(url, folders, seconds, most)
    try:
        noted = folders.outcome.with_suffix(".new")
        noted.write_text(json.dumps(report), encoding="utf-8")
        noted.replace(folders.outcome)
    except OSError as error:  # another run will say that this one was stopped
        _say(f"the outcome of the clone could not be written: {error}")
    return report


def cloned(git: Git, url: str, folder: Path, most: int) -> str:
    """Clone into an empty folder, which stays empty where that fails; the commit, empty where there is none.

    It may have ``most`` bytes, history and files together. Raises Failure and GitError.
    """
    try:
        git.reach(*FRUGAL, "clone", "--quiet", "--no-checkout", "--", url, str(folder))
        if not git.succeeds("-C", str(folder), "rev-parse", "--verify", "--quiet", "HEAD^{commit}"):
            return ""
        commit = git.run("-C", str(folder), "rev-parse", "HEAD").strip()
        if _size(git, folder) > most:
            raise Failure(TOO_LARGE, f"the repository has more than {most} bytes")
        git.run("-C", str(folder), *FRUGAL, "reset", "--quiet", "--hard", commit)
    except (Failure, GitError):
        _empty(folder)
        raise
    return commit


def _tried(url: str, folders: Folders, seconds: float, most: int) -> dict[str, str]:
    until = time.monotonic() + seconds * (1 - END)
    try:
        folders.begun.touch()
        if any(folders.clone.iterdir()):
            raise Failure(OCCUPIED, "the folder is not empty, and was left as it is")
        folders.clone.chmod(0o755)
        git = Git(folders.state, environment(url, folders.state), until, PATIENCE)
        commit = cloned(git, url, folders.clone, most)
    except GitError as error:
        large = any(sign in error.words.lower() for sign in _TOO_LARGE_SIGNS)
        return _failed(Failure(TOO_LARGE if large else error.reason, f"{_FAILED}: {error.words}"))
    except Failure as failure:
        return _failed(failure)
    except OSError as error:
        return _failed(Failure(BROKEN, f"{_FAILED}: {error}"))
    return {"commit": commit}


def _failed(failure: Failure) -> dict[str, str]:
    advice = ADVICE.get(failure.reason, "clone it inside")
    return {"error": failure.reason, "message": f"{failure.message[:LONGEST_MESSAGE]}: {advice}"}


def _size(git: Git, folder: Path) -> int:
    """Bytes of history and files, before the files are written."""
    history = sum(path.stat().st_size for path in (folder / ".git" / "objects").rglob("*") if path.is_file())
    sizes = git.run("-C", str(folder), "ls-tree", "-r", "--format=%(objectsize)", "HEAD").split()
    return history + sum(int(size) for size in sizes if size.isdigit())


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _leave(_number: int, _frame: object) -> None:
    """End at once, and with this first process of its container all that git has started: the lease is over."""
    os._exit(0)


def _most() -> int:
    """Bytes that the clone may have: half of the workspace's bound, which leaves the rest for its work."""
    return int(os.environ["BERTH_SPACE"]) // 2


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()
