"""A missing prerequisite is reported in one line that tells what to do, and nothing half-done is left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from berth_dev.components import kubernetes
from berth_dev.errors import ClusterError
from berth_dev.paths import require_space


def complaint(command: list[str], environment: dict[str, str]) -> str:
    """The one line of a command of berth_dev that must fail."""
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1, done.stdout + done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("berth-cluster: ")]
    assert len(said) == 1, done.stderr
    return said[0]


def module(*words: str) -> list[str]:
    return [sys.executable, "-m", "berth_dev", *words]


def test_not_root(tmp_path: Path) -> None:
    command = ["unshare", "--user", *module("start")]
    assert "sudo" in complaint(command, {"BERTH_STATE": str(tmp_path / "state")})


@pytest.mark.nodes
def test_addresses_in_use(tmp_path: Path) -> None:
    # In a network namespace of this test's own, where the range of slot 3 is taken.
    taken = "ip link add d0 type bridge && ip address add 198.18.3.9/24 dev d0 && ip link set d0 up"
    script = f'{taken} && exec "$@"'
    command = ["unshare", "--net", "sh", "-c", script, "sh", *module("start")]
    said = complaint(command, {"BERTH_STATE": str(tmp_path / "state"), "BERTH_SLOT": "3"})
    assert "198.18.3.0/24 is in use" in said
    assert "d0" in said
    assert not (tmp_path / "state").exists()


def test_no_way_to_the_module_proxy(tmp_path: Path) -> None:
    environment = {
        "BERTH_CACHE": str(tmp_path / "cache"),
        "GOMODCACHE": str(tmp_path / "modules"),
        "GOPROXY": "http://127.0.0.1:9",
        "GOTOOLCHAIN": "local",
    }
    assert "cannot fetch Go modules" in complaint(module("build"), environment)
    assert list((tmp_path / "cache" / "components").iterdir()) == []


def test_no_go(tmp_path: Path) -> None:
    environment = {"BERTH_CACHE": str(tmp_path / "cache"), "PATH": "/nonexistent"}
    assert "Go is not installed" in complaint(module("build"), environment)


def test_an_unknown_kubernetes() -> None:
    assert "choose one of 1.37.2, 1.34.4" in complaint(module("build"), {"K8S": "1.2.3"})


def test_an_unknown_kind_of_cluster() -> None:
    assert "use local" in complaint(module("up"), {"CLUSTER": "cloud"})


def test_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="free some space"):
        require_space(tmp_path / "not" / "there", 1e9, "a test")


def test_a_component_is_known_by_its_content() -> None:
    assert kubernetes("1.37.2").key == kubernetes("1.37.2").key
    assert kubernetes("1.37.2").key != kubernetes("1.34.4").key
