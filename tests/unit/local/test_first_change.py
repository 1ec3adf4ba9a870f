"""The tutorial "A first change" works as it is written, on a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from berth_dev.paths import REPOSITORY

BLOCK = re.compile(r"^```(diff|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
PACKAGES = ("operator", "api", "agent", "core", "cli", "notifier", "ci", "devices", "dev")


@pytest.mark.thorough
@pytest.mark.release(twin="tests/unit/local/test_docs.py")
def test_its_changes_apply_and_its_commands_say_what_it_shows(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split():
        if (REPOSITORY / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, tmp_path / name, follow_symlinks=False)
    for tool in (".venv", ".berth-tools"):
        (tmp_path / tool).symlink_to(REPOSITORY / tool)
    python = {"PYTHONPATH": ":".join(str(tmp_path / package) for package in PACKAGES)}

    def run(*command: str, given: str = "") -> str:
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ | python, input=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    run("git", "init", "-q")
    run("git", "add", "-A")
    run("git", "-c", "user.name=t", "-c", "user.email=t@t.invalid", "commit", "-qm", "before")
    page = (REPOSITORY / "docs/tutorials/first-change.md").read_text()
    shown = []
    for kind, text in BLOCK.findall(page):
        if kind == "diff":
            run("git", "apply", "-", given=text)
            continue
        for line in text.splitlines():
            # The environment is this repository's: make would install the copy in its place.
            words = line.replace("make generate", f"{sys.executable} -m berth_dev generate").split()
            shown.append(run(*words))
    run(str(Path(sys.executable).with_name("ruff")), "format", "--check", "operator", "core", "tests")
    generated, stat, tests = shown
    told = re.search(r"^```\n( crds/.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert told is not None
    assert (generated, stat) == ("", told[1])
    assert re.search(r"\d+ passed", tests)
    assert "failed" not in tests
