"""The tutorials "Lend your first robot" and "A first build" work as they are written."""

from pathlib import Path

import pytest
import tutorials
from gitserver import serving
from gitting import git
from lab import Lab

from berth_dev.cluster import install
from berth_dev.cluster.network import OUTSIDE

pytestmark = [pytest.mark.nodes, pytest.mark.usefixtures("lab"), pytest.mark.timeout(400)]

ENVIRONMENT = ". .berth/env"
SOURCED = {ENVIRONMENT: f". {install.ENVIRONMENT}/env"}
REPOSITORY = "REPO=https://git.example.org/lab/rover.git"


def test_lending_your_first_robot(tmp_path: Path) -> None:
    tutorials.play("first-robot.md", tmp_path, {"HOME": str(tmp_path)}, SOURCED)


def test_a_first_build(lab: Lab, tmp_path: Path) -> None:
    with serving(OUTSIDE[2]) as server:
        server.repository("rover")
        bare = server.folder / "repositories" / "rover.git"
        git(bare, "config", "core.sharedRepository", "world")  # the server reads as another user
        url = server.http("rover")
        (tmp_path / ".gitconfig").write_text(
            f'[user]\nname = Dora\nemail = dora@example.org\n[url "{bare}"]\npushInsteadOf = {url}\n', encoding="utf-8"
        )
        tutorials.play("first-build.md", tmp_path, {"HOME": str(tmp_path)}, SOURCED | {REPOSITORY: f"REPO={url}"}, 360)
    lab.kubectl("delete", "project", "--all", "-n", "berth-workspaces", "--field-selector", "spec.user=dora")
