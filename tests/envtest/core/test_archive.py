"""A folder and a real bucket keep the same promises."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from buckets import KEY_ID, SECRET, Bucket, bucket

from berth_core.archive.settings import ArchiveSettings, archive_settings
from berth_core.archive.storage import Archive, key
from berth_core.kube.errors import NotFoundError, UnavailableError

PART = key("berth-workspaces", "4dd1a1c6-7d8c-4c1f-9a61-1a1f0f3e6b55", "b-1-1-log-0")


@pytest.fixture(scope="module")
def real_bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with bucket(tmp_path_factory.mktemp("bucket")) as made:
        yield made


def settings_of(environment: dict[str, str]) -> ArchiveSettings:
    found = archive_settings(environment)
    assert found is not None
    return found


@pytest.fixture(params=["folder", "bucket"])
def archive(request: pytest.FixtureRequest, tmp_path: Path, real_bucket: Bucket) -> Archive:
    places = {"folder": {"BERTH_ARCHIVE": f"file://{tmp_path}"}, "bucket": real_bucket.environment(tmp_path.name)}
    return Archive(settings_of(places[request.param]))


async def test_what_was_put_is_read_and_what_was_deleted_is_not_there(archive: Archive) -> None:
    for content in (b"first", bytes(range(256)) * 50_000, b"last"):
        await archive.put(PART, content)
        assert await archive.get(PART) == content
    for _ in range(2):
        await archive.delete(PART)
        with pytest.raises(NotFoundError):
            await archive.get(PART)


async def test_keys_below_a_folder_are_listed_however_many_they_are(archive: Archive) -> None:
    made = {key("one", f"uid-{n}", "log") for n in range(1100)}
    for path in made:
        await archive.put(path, b"x")
    await archive.put(key("two", "uid", "log"), b"x")
    assert {path async for path in archive.keys("one")} == made
    assert [path async for path in archive.keys("none")] == []


WRONG: list[dict[str, Any]] = [{"key_id": "stranger"}, {"secret": "wrong"}, {"bucket": "none"}, {"ca_file": None}]


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_bucket_that_refuses_is_away_and_its_key_is_not_told(
    real_bucket: Bucket, wrong: dict[str, Any]
) -> None:
    archive = Archive(replace(settings_of(real_bucket.environment()), **wrong))
    with pytest.raises(UnavailableError) as told:
        await archive.put(PART, b"x")
    assert SECRET not in str(told.value)
    assert KEY_ID not in str(told.value)


async def test_a_bucket_that_does_not_answer_is_away(real_bucket: Bucket) -> None:
    archive = Archive(replace(settings_of(real_bucket.environment()), endpoint="https://127.0.0.1:1"))
    with pytest.raises(UnavailableError):
        await archive.get(PART)
    with pytest.raises(UnavailableError):
        [path async for path in archive.keys("one")]
