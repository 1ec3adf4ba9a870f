"""Retention of built images."""

import os
from pathlib import Path

from berth_dev.images.archives import KEPT, KEPT_SECONDS, prune

NOW = 1_800_000_000.0


def archive(folder: Path, image: str, number: int, seconds_ago: float) -> Path:
    """An archive that was asked for so long ago."""
    path = folder / f"{image}-{number:016x}.tar"
    path.touch()
    os.utime(path, (NOW - seconds_ago, NOW - seconds_ago))
    return path


def test_the_newest_stay(tmp_path: Path) -> None:
    made = [archive(tmp_path, "berth", number, KEPT_SECONDS * (number + 2)) for number in range(6)]
    other = archive(tmp_path, "berth-workspace", 1, KEPT_SECONDS * 100)
    prune("berth", keep=made[5], now=NOW)
    assert sorted(path for path in [*made, other] if path.exists()) == sorted([*made[: KEPT - 1], made[5], other])


def test_what_was_asked_for_lately_stays_however_much_it_is(tmp_path: Path) -> None:
    made = [archive(tmp_path, "berth", number, KEPT_SECONDS - 1) for number in range(KEPT + 4)]
    prune("berth", keep=made[0], now=NOW)
    assert all(path.exists() for path in made)
