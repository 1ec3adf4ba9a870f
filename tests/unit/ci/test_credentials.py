"""Which repositories git gets a token for: git itself asks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from berth_ci import credentials

ITS_OWN = "https://git.example.org/lab/arm.git"


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
        (ITS_OWN, "https://evil.example.org/lab/arm.git", False),
        (ITS_OWN, "http://git.example.org/lab/arm.git", False),
    ],
)
def test_a_token_is_for_its_own_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, wanted: str, told: bool
) -> None:
    (tmp_path / "password").write_text("token")
    monkeypatch.setattr(credentials, "CREDENTIALS", tmp_path)
    own_python = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    environment = os.environ | credentials.environment(url, tmp_path) | own_python
    filled = subprocess.run(
        ["git", "credential", "fill"],
        input=f"url={wanted}\n\n",
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ("password=" in filled.stdout, filled.returncode == 0) == (told, told), filled.stderr
