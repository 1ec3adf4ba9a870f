"""Which repositories git gets a token for: git itself asks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from berth_ci import credentials
from berth_ci.failures import Failure

ITS_OWN = "https://git.example.org/lab/arm.git"


@pytest.fixture
def secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "password").write_text("token")
    monkeypatch.setattr(credentials, "CREDENTIALS", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("url", "wanted", "told"),
    [
        (ITS_OWN, ITS_OWN, True),
        (ITS_OWN, "https://git.example.org/lab/arm", True),
        ("https://git.example.org/lab/arm/", ITS_OWN, True),
        ('https://git.example.org/lab/a"r\\m.git', 'https://git.example.org/lab/a"r\\m.git', True),
        (ITS_OWN, "https://git.example.org/lab/another.git", False),
        (ITS_OWN, "https://git.example.org/lab/armature.git", False),
        (ITS_OWN, "https://git.example.org/", False),
        (ITS_OWN, "https://git.example.org/lab", False),
        (ITS_OWN, f"{ITS_OWN}/", True),
        (ITS_OWN, "https://GIT.example.org/lab/arm.git", True),
        ("https://git.example.org/lab/my%20arm", "https://git.example.org/lab/my%20arm.git", True),
        ("https://git.example.org:8443/lab/arm", "https://git.example.org:8443/lab/arm.git", True),
        (ITS_OWN, f"{ITS_OWN}/x/y", False),
        (ITS_OWN, "https://git.example.org/lab/arm/evil.git", False),
        (ITS_OWN, "https://git.example.org/lab/arm/..;/secret.git", False),
        (ITS_OWN, "https://git.example.org/lab/arm/../secret.git", False),
        (ITS_OWN, "https://git.example.org/lab/arm.git%2f..%2fsecret", False),
        (ITS_OWN, f"{ITS_OWN}?/../secret", False),
        (ITS_OWN, f"{ITS_OWN}%23/../secret", False),
        (ITS_OWN, "https://git.example.org:8443/lab/arm.git", False),
        (ITS_OWN, "https://evil.example.org/lab/arm.git", False),
        (ITS_OWN, "http://git.example.org/lab/arm.git", False),
    ],
)
def test_a_token_is_for_its_own_repository(secret: Path, url: str, wanted: str, told: bool) -> None:
    own_python = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment = os.environ | credentials.environment(url, secret) | own_python
    filled = subprocess.run(
        ["git", "credential", "fill"],
        input=f"url={wanted}\n\n",
        env=environment,
        cwd=secret,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ("password=" in filled.stdout, filled.returncode == 0) == (told, told), filled.stderr


@pytest.mark.parametrize("path", ["", "/", "/.git", "/%2egit", "/x/..", "/%2e", "/lab/%2e%2e/arm.git", "//"])
def test_no_token_is_for_a_whole_host(secret: Path, path: str) -> None:
    with pytest.raises(Failure, match="one repository") as caught:
        credentials.environment(f"https://git.example.org{path}", secret)
    assert caught.value.reason == credentials.UNFIT
