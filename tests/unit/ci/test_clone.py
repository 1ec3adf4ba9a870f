"""Cloning into a workspace, from a real server (git's own daemon) on loopback."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from gitting import git
from promised import promised

from berth_ci import clone
from berth_ci.clone import Folders, reported
from berth_ci.git import Git, LateError
from berth_dev.ports import free_port

PLENTY = 64 * 1024 * 1024


@dataclass(frozen=True)
class Daemon:
    """A server of what is in a folder."""

    folder: Path
    port: int

    def url(self, name: str) -> str:
        return f"git://127.0.0.1:{self.port}/{name}.git"

    def commit(self, name: str, *files: tuple[str, bytes]) -> str:
        """Add a commit to a repository, which is made where it is not there yet; its name."""
        tree = self.folder / "trees" / name
        if not tree.exists():
            git(self.folder, "init", "--quiet", "--bare", "--initial-branch=main", f"{name}.git")
            git(self.folder, "clone", "--quiet", f"{name}.git", str(tree))
        for file, content in files:
            (tree / file).write_bytes(content)
        git(tree, "add", "--all")
        git(tree, "commit", "--quiet", "--allow-empty", "-m", f"change {name}")
        git(tree, "push", "--quiet", "origin", "HEAD:main")
        return git(tree, "rev-parse", "HEAD").strip()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("repositories")
    port = free_port()
    words = ["git", "daemon", "--listen=127.0.0.1", f"--port={port}", "--export-all", f"--base-path={folder}"]
    words += ["--informative-errors", "--reuseaddr", str(folder)]
    environment = os.environ | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }
    process = subprocess.Popen(words, env=environment, process_group=0)
    try:
        await_port(port)
        yield Daemon(folder, port)
    finally:
        os.killpg(process.pid, 15)
        process.wait(timeout=20)


def await_port(port: int) -> None:
    until = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < until, "the git daemon does not listen"


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    made = Folders(tmp_path / "clone", tmp_path / "state")
    made.clone.mkdir(mode=0o777)
    made.state.mkdir()
    return made


def test_the_whole_history_is_there_on_its_branch_and_clean(server: Daemon, folders: Folders) -> None:
    first = server.commit("arm", ("a.txt", b"one\n"))
    latest = server.commit("arm", ("b.txt", b"two\n"))
    assert reported(server.url("arm"), folders, 60, PLENTY) == {"commit": latest}
    assert (folders.clone / "b.txt").read_text() == "two\n"
    assert git(folders.clone, "log", "--format=%H").split() == [latest, first]
    assert git(folders.clone, "status", "--porcelain", "--branch").strip() == "## main...origin/main"
    assert git(folders.clone, "remote", "get-url", "origin").strip() == server.url("arm")
    settings = git(folders.clone, "config", "--local", "--list")
    assert "pack.threads" not in settings, "limits of the clone are not the holder's"
    assert folders.clone.stat().st_mode & 0o777 == 0o755


def test_a_second_run_says_the_same_and_leaves_the_holders_work(server: Daemon, folders: Folders) -> None:
    commit = server.commit("work", ("a.txt", b"one\n"))
    reported(server.url("work"), folders, 60, PLENTY)
    (folders.clone / "a.txt").write_text("mine\n")
    server.commit("work", ("a.txt", b"theirs\n"))
    assert reported(server.url("work"), folders, 60, PLENTY) == {"commit": commit}
    assert (folders.clone / "a.txt").read_text() == "mine\n"


def test_an_empty_repository_is_one(server: Daemon, folders: Folders) -> None:
    git(server.folder, "init", "--quiet", "--bare", "--initial-branch=main", "empty.git")
    assert reported(server.url("empty"), folders, 60, PLENTY) == {"commit": ""}
    assert (folders.clone / ".git").is_dir()


def test_what_is_in_the_folder_already_is_left_as_it_is(server: Daemon, folders: Folders) -> None:
    server.commit("full", ("a.txt", b"one\n"))
    (folders.clone / "mine").write_text("mine\n")
    assert reported(server.url("full"), folders, 60, PLENTY)["error"] == clone.OCCUPIED
    assert [path.name for path in folders.clone.iterdir()] == ["mine"]


def test_a_run_that_was_killed_is_not_repeated(server: Daemon, folders: Folders) -> None:
    folders.begun.touch()
    (folders.clone / ".git").mkdir()
    report = reported(server.url("arm"), folders, 60, PLENTY)
    assert report["error"] == clone.STOPPED
    assert "clone it inside" in report["message"]
    assert reported(server.url("arm"), folders, 60, PLENTY) == report


def test_it_reports_though_nothing_can_be_noted(server: Daemon, folders: Folders) -> None:
    commit = server.commit("arm", ("c.txt", b"three\n"))
    folders.outcome.with_suffix(".new").mkdir()
    assert reported(server.url("arm"), folders, 60, PLENTY) == {"commit": commit}
    assert reported(server.url("arm"), folders, 60, PLENTY)["error"] == clone.STOPPED
    shutil.rmtree(folders.state)
    assert reported(server.url("arm"), folders, 60, PLENTY)["error"] == clone.BROKEN
    assert (folders.clone / "c.txt").read_text() == "three\n", "it is left as it is"


@pytest.mark.parametrize(
    ("url", "reason", "advice"),
    [
        ("git://127.0.0.1:{port}/none.git", "RepositoryNotFound", "correct the URL"),
        ("git://127.0.0.1:1/none.git", "RepositoryUnreachable", "network.egress"),
        ("file:///etc", "GitFailed", "clone it inside"),
        ("ext::sh -c true", "GitFailed", "clone it inside"),
    ],
)
def test_what_cannot_be_cloned_is_said_with_what_to_do(
    server: Daemon, folders: Folders, monkeypatch: pytest.MonkeyPatch, url: str, reason: str, advice: str
) -> None:
    monkeypatch.setattr(clone, "PATIENCE", 0.0)  # what cannot be reached is not tried again
    report = reported(url.format(port=server.port), folders, 60, PLENTY)
    assert (report["error"], advice in report["message"]) == (reason, True), report
    assert list(folders.clone.iterdir()) == []
    assert folders.clone.stat().st_mode & 0o777 == 0o755


def test_what_is_too_large_once_it_is_unpacked_leaves_nothing(server: Daemon, folders: Folders) -> None:
    server.commit("zeros", ("zeros", bytes(4_000_000)))
    report = reported(server.url("zeros"), folders, 60, 1_000_000)
    assert report["error"] == clone.TOO_LARGE
    assert "--depth 1" in report["message"]
    assert list(folders.clone.iterdir()) == []


def test_a_history_that_is_too_large_is_not_even_stored(server: Daemon, folders: Folders) -> None:
    server.commit("noise", ("noise", os.urandom(4_000_000)))
    server.commit("noise", ("noise", b""))
    text = (
        "import json, sys; from pathlib import Path; from berth_ci.clone import *; limit(1_000_000);"
        "print(json.dumps(reported(sys.argv[1], Folders(Path(sys.argv[2]), Path(sys.argv[3])), 60, 1_000_000)))"
    )
    words = [sys.executable, "-c", text, server.url("noise"), str(folders.clone), str(folders.state)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout)["error"] == clone.TOO_LARGE, done.stdout
    assert list(folders.clone.iterdir()) == []


@pytest.mark.alone
def test_a_server_that_says_nothing_is_given_up_in_time(folders: Folders) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        begun = time.monotonic()
        report = reported(f"git://127.0.0.1:{silent.getsockname()[1]}/x.git", folders, 1, PLENTY)
    assert (report["error"], time.monotonic() - begun < 1 + promised(5)) == ("RepositoryTooSlow", True)
    assert list(folders.clone.iterdir()) == []


@pytest.mark.thorough
def test_git_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    stubborn = f"!trap '' TERM; cat {pipe}"
    with pytest.raises(LateError):
        Git(tmp_path, {}, time.monotonic() + 0.2).run("-c", f"alias.hang={stubborn}", "hang")
    with pytest.raises(OSError, match="No such device"):  # nobody reads any more
        os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    shutil.rmtree(tmp_path)
