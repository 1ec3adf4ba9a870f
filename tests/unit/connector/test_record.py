"""The fence's marks on the disk."""

import json
import os
from pathlib import Path

import pytest

from berth_connector import record
from berth_connector.fence import Mark
from berth_connector.record import Record, RecordError


def test_marks_are_there_after_a_restart(tmp_path: Path) -> None:
    kept = Record(str(tmp_path))
    kept.note("d1", Mark(3, moved=True))
    kept.save()
    kept.close()
    assert Record(str(tmp_path)).all() == {"d1": Mark(3, moved=True)}


def test_two_connectors_never_have_one_folder(tmp_path: Path) -> None:
    kept = Record(str(tmp_path))
    with pytest.raises(RecordError, match="another connector runs"):
        Record(str(tmp_path))
    kept.close()
    Record(str(tmp_path)).close()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', '{"version": 1, "marks": {"d": {"epoch": "3"}}}',
                                     '{"version": 1, "marks": {"d": {"epoch": 3, "over": 1, "moved": 0, "owed": 0}}}',
                                     '{"version": 2, "marks": {}}'])  # fmt: skip
def test_damaged_marks_are_never_taken_for_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "marks.json").write_text(content)
    with pytest.raises(RecordError):
        Record(str(tmp_path))


def test_a_mark_that_could_not_be_written_still_counts_in_this_process(tmp_path: Path) -> None:
    kept = Record(str(tmp_path))
    kept.note("d1", Mark(1))
    kept.save()
    os.rename(tmp_path / "marks.json", tmp_path / "away")
    (tmp_path / "marks.json").mkdir()
    kept.note("d1", Mark(2))
    with pytest.raises(OSError, match="marks"):
        kept.save()
    assert kept.get("d1") == Mark(2)


def test_the_number_of_deployments_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "MOST_DEPLOYMENTS", 2)
    kept = Record(str(tmp_path))
    kept.note("d1", Mark(1))
    kept.note("d2", Mark(1))
    kept.note("d2", Mark(2))
    with pytest.raises(RecordError, match="2 deployments"):
        kept.note("d3", Mark(1))


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    kept = Record(str(tmp_path))
    kept.note("d1", Mark(1))
    kept.save()
    assert (tmp_path / "marks.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "marks.json").read_text())["marks"]["d1"]["epoch"] == 1
