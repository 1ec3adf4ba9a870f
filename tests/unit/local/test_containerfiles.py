"""Images have one base that a build argument names, packages that are pinned, and a list of them."""

import re
from pathlib import Path

import pytest

IMAGES = Path(__file__).parents[3] / "images"
FILES = sorted(IMAGES.glob("*/Containerfile"))
WITH_PACKAGES = [path for path in FILES if path.parent.name != "pause"]


def instructions(path: Path) -> list[str]:
    """Instructions without comments, each on one line."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def commands(path: Path) -> list[str]:
    """Commands that are run, one by one."""
    runs = [line.removeprefix("RUN ") for line in instructions(path) if line.startswith("RUN ")]
    return [command.strip() for run in runs for command in re.split(r";|&&", run)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_every_stage_begins_with_the_base_that_the_build_argument_names(path: Path) -> None:
    stages: set[str] = set()
    for line in instructions(path):
        if line.startswith("FROM "):
            base, _, name = line.removeprefix("FROM ").partition(" AS ")
            assert base in {"$DEBIAN", *stages} or (path.parent.name == "pause" and base == "scratch"), line
            stages.add(name)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.parent.name)
def test_pip_takes_what_hashes_pin_and_nothing_else(path: Path) -> None:
    for command in commands(path):
        if re.search(r"\bpip\b.* install\b", command) and not command.startswith("apt-get "):
            assert "--no-deps" in command, command
            assert "--require-hashes" in command or command.startswith("PIP_NO_INDEX=1 "), command
        if re.search(r"\bpip\b.* (wheel|download)\b", command):
            assert {"--no-deps", "--no-build-isolation"} <= set(command.split()), command


def test_pip_is_looked_at_where_it_is_run() -> None:
    found = [command for path in FILES for command in commands(path) if re.search(r"\bpip\b.* install\b", command)]
    assert sum("requirements.txt" in command for command in found) == 3


@pytest.mark.parametrize("path", WITH_PACKAGES, ids=lambda path: path.parent.name)
def test_an_image_has_a_list_of_its_packages(path: Path) -> None:
    last = max(index for index, line in enumerate(instructions(path)) if line.startswith("FROM "))
    own = [line for line in instructions(path)[last:] if line.startswith("RUN ")]
    assert any(line.endswith("dpkg-query -W > /usr/share/berth/packages.txt") for line in own)
    pip = [command for command in commands(path) if command.endswith("freeze --all > /opt/berth/packages.txt")]
    assert len(pip) == (path.parent.name in ("berth", "devices"))
