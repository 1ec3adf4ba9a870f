import io
import os
import tarfile
from pathlib import Path

import pytest

from berth_ci.artifacts import TooLargeError, pack


def packed(root: Path, *patterns: str, most: int = 1_000_000) -> list[str]:
    made = pack(root, patterns, most)
    if made is None:
        return []
    with tarfile.open(fileobj=io.BytesIO(made), mode="r:gz") as archive:
        return archive.getnames()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    work, outside = tmp_path / "src", tmp_path / "outside"
    for folder in (work / "out" / "deep", outside):
        folder.mkdir(parents=True)
    (work / "out" / "a.log").write_text("a")
    (work / "out" / "deep" / "b.log").write_text("b")
    (work / "c.txt").write_text("c")
    (outside / "secret").write_text("s")
    return work


def test_files_folders_and_patterns(root: Path) -> None:
    assert packed(root, "out") == ["out", "out/a.log", "out/deep", "out/deep/b.log"]
    assert packed(root, "out/*.log", "c.txt") == ["c.txt", "out/a.log"]
    assert packed(root, "**/*.log") == ["out/a.log", "out/deep/b.log"]
    assert packed(root, "none") == []


def test_nothing_leads_out(root: Path) -> None:
    (root / "out" / "away").symlink_to("../../outside")
    (root / "out" / "abroad").symlink_to("/etc/passwd")
    (root / "out" / "near").symlink_to("a.log")
    (root / "out" / "broken").symlink_to("nothing")
    os.mkfifo(root / "out" / "pipe")
    names = packed(root, "out", "out/away/*", "out/away", "out/near")
    assert names == ["out", "out/a.log", "out/broken", "out/deep", "out/deep/b.log", "out/near"]


def test_there_is_a_limit(root: Path) -> None:
    (root / "big").write_bytes(os.urandom(5000))
    assert packed(root, "big", most=6000) == ["big"]
    with pytest.raises(TooLargeError):
        pack(root, ["big"], 4000)
