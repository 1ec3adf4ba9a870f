"""Notices of the workspace image to logged-in users."""

import os
import select
from collections.abc import Iterator
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest

SCRIPT = Path(__file__).parents[3] / "images" / "workspace" / "berth_notices.py"
NOTICES = SimpleNamespace(**run_path(str(SCRIPT)))
WARNING = "This lease ends at 12:00:00 UTC.\n"


@pytest.fixture
def screen(tmp_path: Path) -> Iterator[int]:
    """Output of a session: the other side of a terminal that `tmp_path/pts` has as number 3."""
    master, slave = os.openpty()
    (tmp_path / "pts").mkdir()
    (tmp_path / "pts" / "3").symlink_to(os.ttyname(slave))
    (tmp_path / "pts" / "4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "pts" / "ptmx").symlink_to("/dev/full")
    yield master
    os.close(master)
    os.close(slave)


def look(folder: Path, shown: str, text: str) -> str:
    fresh = folder / "notice.new"
    fresh.write_text(text)
    fresh.rename(folder / "notice")
    now: str = NOTICES.look(shown, str(folder / "notice"), str(folder / "pts"))
    return now


def seen(screen: int) -> str:
    readable, _, _ = select.select([screen], [], [], 0)
    return os.read(screen, 4096).decode() if readable else ""


def test_a_notice_shows_up_in_a_session_once(tmp_path: Path, screen: int) -> None:
    shown = look(tmp_path, "", WARNING)
    assert WARNING.strip() in seen(screen)
    assert look(tmp_path, shown, WARNING) == WARNING
    assert seen(screen) == ""


def test_another_end_is_told_again_and_one_that_is_taken_back_is_not(tmp_path: Path, screen: int) -> None:
    shown = look(tmp_path, WARNING, "")
    assert (shown, seen(screen)) == ("", "")
    look(tmp_path, shown, WARNING)
    assert WARNING.strip() in seen(screen)


def test_a_session_that_takes_no_output_holds_nothing_up(tmp_path: Path, screen: int) -> None:
    for number in range(3000):
        look(tmp_path, "", f"{number} {WARNING}")
    assert seen(screen)


def test_without_a_notice_nothing_is_said(tmp_path: Path, screen: int) -> None:
    assert NOTICES.look("", str(tmp_path / "none"), str(tmp_path / "pts")) == ""
    assert seen(screen) == ""
