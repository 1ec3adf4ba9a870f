"""`berth ci` against the API: builds asked for from a clone, followed, canceled and run again."""

import json
import subprocess
from pathlib import Path

import pytest

from ..api.ci import URL, artifacts_of, as_operator, end, log_of
from ..api.world import World
from .conftest import Person

pytestmark = pytest.mark.apiserver


def clone(folder: Path) -> None:
    """Make the folder a repository with a remote, on the branch main."""
    git = ["git", "-C", str(folder)]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    subprocess.run([*git, "remote", "add", "origin", URL], check=True)


async def test_a_build_of_this_folder_s_repository(world: World, person: Person) -> None:
    ada = person("ada")
    assert "`berth ci run` in a clone" in ada.berth("ci", "list").err
    clone(ada.home)
    project = f"arm-{ada.name}"
    begun = ada.berth("ci", "run", "--project", project, "-o", "json")
    assert begun.code == 0, begun.err
    build = json.loads(begun.out)
    assert (build["pid"], build["status"], build["branch"]) == (project, "queued", "main")
    jid = build["id"]
    assert ada.berth("ci", "projects", "-o", "name").out == f"{project}\n"
    (row,) = ada.berth("ci", "list").out.splitlines()[1:]
    assert row.split()[:3] == [jid, "queued", "main"]
    assert json.loads(ada.berth("ci", "info", jid[-8:], "-o", "json").out)["id"] == jid

    with ada.begins("ci", "logs", "--follow") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == f"build {jid}: queued\n"
        log = await log_of(world, jid, b"one\ntwo\n")
        kept = await artifacts_of(world, jid, b"an archive")
        await end(world, jid, log=log, artifacts=kept)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "one\ntwo\n"), err
    assert ada.berth("ci", "logs", jid).out == "one\ntwo\n"
    assert ada.berth("ci", "artifacts", "-f", "a.tar.gz").out == "a.tar.gz: 10 bytes\n"
    assert (ada.home / "a.tar.gz").read_bytes() == b"an archive"
    over = ada.berth("ci", "cancel")
    assert (over.code, over.out) == (1, "")

    again = ada.berth("ci", "restart", "-o", "json")
    assert again.code == 0, again.err
    assert (json.loads(again.out)["id"], json.loads(again.out)["attempt"]) == (jid, 2)
    assert ada.berth("ci", "cancel", jid).out == f"build {jid} is canceled\n"


async def test_a_build_that_fails_is_told_by_the_exit_code(world: World, person: Person) -> None:
    ada = person("ada")
    words = ["--project", f"arm-{ada.name}", "--repo", URL, "--branch", "main"]
    with ada.begins("ci", "run", *words, "--follow") as process:
        assert process.stderr is not None
        jid = process.stderr.readline().split()[1]
        assert process.stderr.readline() == f"build {jid}: queued\n"
        await as_operator(world, jid, startTime="2026-01-01T00:00:00Z")
        assert process.stderr.readline() == f"build {jid}: running\n"
        await end(world, jid, "ScriptFailed", log=await log_of(world, jid, b"no\n"), exitCode=7)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "no\n"), err
    assert err.splitlines()[-1].startswith(f"berth: build {jid} failed: `berth ci info {jid}")


def test_what_is_to_be_built_must_be_clear(person: Person) -> None:
    ada = person("ada")
    assert "--branch or --commit" in ada.berth("ci", "run", "--repo", URL).err
    nowhere = ada.berth("ci", "run", "--branch", "main")
    assert (nowhere.code, "name one with --repo" in nowhere.err) == (2, True)
    assert ada.berth("ci", "list", "--project", "nobody-s").code == 4
