"""The tutorials "A first lease", "Lend your first robot" and "A first build" work as they are written."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tutorials
from gitserver import serving
from gitting import git
from lab import NAMESPACE, Lab

from berth_dev.cluster import install
from berth_dev.cluster.network import OUTSIDE

pytestmark = [
    pytest.mark.nodes,
    pytest.mark.usefixtures("lab"),
    pytest.mark.timeout(400),
    pytest.mark.release(twin="tests/unit/local/test_docs.py"),
]

ENVIRONMENT = ". .berth/env"
SOURCED = {ENVIRONMENT: f". {install.ENVIRONMENT}/env"}
REPOSITORY = "REPO=https://git.example.org/lab/rover.git"


def test_a_first_lease(lab: Lab, tmp_path: Path) -> None:
    tutorials.play("first-lease.md", tmp_path, {"HOME": str(tmp_path)}, SOURCED | {"make up": "true"})


@pytest.fixture
def _no_rover_stays(lab: Lab) -> Iterator[None]:
    """Take the tutorial's robot away where its last commands were not reached."""
    yield
    for kind, names in (("wd", ["rover-1"]), ("wt", ["rover"]), ("acr", ["rover-1-nobody", "rover-1-ada"])):
        lab.kubectl("delete", kind, *names, "-n", NAMESPACE, "--ignore-not-found", "--timeout=60s")
    lab.kubectl("label", "node", "node-2", "lab.example/robot-")


@pytest.mark.usefixtures("_no_rover_stays")
def test_lending_your_first_robot(tmp_path: Path) -> None:
    tutorials.play("first-robot.md", tmp_path, {"HOME": str(tmp_path)}, SOURCED)


def without_builds(lab: Lab) -> None:
    """Delete the projects and builds of the tutorial's user: the page shows all of its builds."""
    for kind in ("builds", "projects"):
        lab.kubectl("delete", kind, "-n", NAMESPACE, "--field-selector", "spec.user=dora", "--timeout=60s")


def test_a_first_build(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    without_builds(lab)
    request.addfinalizer(lambda: without_builds(lab))
    with serving(OUTSIDE[2]) as server:
        server.repository("rover")
        bare = server.folder / "repositories" / "rover.git"
        git(bare, "config", "core.sharedRepository", "world")  # the server reads as another user
        url = server.http("rover")
        (tmp_path / ".gitconfig").write_text(
            f'[user]\nname = Dora\nemail = dora@example.org\n[url "{bare}"]\npushInsteadOf = {url}\n', encoding="utf-8"
        )
        tutorials.play("first-build.md", tmp_path, {"HOME": str(tmp_path)}, SOURCED | {REPOSITORY: f"REPO={url}"}, 360)
