"""What was kept of builds outside of the cluster's store goes as it would go there, and nobody else's."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from buckets import Bucket, bucket

from berth_core import names
from berth_core.archive import Archive, archive_settings, key
from berth_core.errors import NotFoundError
from berth_core.model import timestamp

from .builds import CI, project
from .lab import BUILDS, Lab
from .process import Operators

pytestmark = pytest.mark.apiserver


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with bucket(tmp_path_factory.mktemp("bucket")) as made:
        yield made


@pytest.fixture
def archive(place: Bucket) -> Archive:
    settings = archive_settings(place.environment())
    assert settings is not None
    return Archive(settings)


async def over(lab: Lab, archive: Archive, name: str, minutes_ago: int) -> list[str]:
    """A Build that has ended and left a log and artifacts in the archive; their keys."""
    made = await lab.create(BUILDS, name, {"project": "p-ada", "user": "ada", "branch": "main"})
    uid = made["metadata"]["uid"]
    parts = [names.build_part(uid, 1, kind, 0) for kind in ("log", "artifacts")]
    keys = [key(lab.namespace, uid, part) for part in parts]
    for path in keys:
        await archive.put(path, b"kept")
    at = timestamp(datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes_ago))
    told = {"type": "Ended", "status": "True", "reason": "Passed", "message": "", "lastTransitionTime": at}
    left = {"log": parts[:1], "logSize": 4, "artifacts": {"size": 4, "sha256": "0" * 64, "configMaps": parts[1:]}}
    status = {"attempt": 1, "endTime": at, "reason": "Passed", "conditions": [told], "observedGeneration": 1}
    await lab.status_patch(BUILDS, name, status | left | {"keptIn": "Archive"})
    return keys


async def has(archive: Archive, keys: list[str]) -> bool:
    try:
        for path in keys:
            await archive.get(path)
    except NotFoundError:
        return False
    return True


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again: neither an archive nor a log tells of changes."""
    async with asyncio.timeout(60):
        for _ in itertools.count():
            if await holds():
                return
            await asyncio.sleep(0.2)


async def test_bounds_hold_in_the_archive(lab: Lab, operators: Operators, place: Bucket, archive: Archive) -> None:
    await project(lab)
    new, old = await over(lab, archive, "new", 1), await over(lab, archive, "old", 120)
    operators.start(**CI, **place.environment(), BERTH_CI_KEPT_RETENTION="1h")
    shown = await lab.until(BUILDS, "old", lambda o: o["status"]["log"] == [], seconds=60)
    assert shown["status"]["artifacts"]["configMaps"] == []
    assert not await has(archive, old[:1])
    assert not await has(archive, old[1:])
    assert await has(archive, new)


async def test_what_an_attempt_left_goes_when_the_next_one_begins(
    lab: Lab, operators: Operators, place: Bucket, archive: Archive
) -> None:
    await project(lab)
    keys = await over(lab, archive, "one", 1)
    operators.start(**CI, **place.environment())
    await lab.client.patch(BUILDS, lab.namespace, "one", {"spec": {"attempt": 2}})
    shown = await lab.until(BUILDS, "one", lambda o: o["status"]["attempt"] == 2, seconds=60)
    assert "log" not in shown["status"]
    assert "keptIn" not in shown["status"]
    assert not await has(archive, keys[:1])
    assert not await has(archive, keys[1:])


async def test_what_is_of_no_build_goes_and_nothing_of_another_installation(
    lab: Lab, operators: Operators, tmp_path: Path
) -> None:
    folder = {"BERTH_ARCHIVE": f"file://{tmp_path}"}
    settings = archive_settings(folder)
    assert settings is not None
    archive = Archive(settings)
    await project(lab)
    kept = await over(lab, archive, "here", 1)
    gone = [key(lab.namespace, "gone", "b-gone-1-log-0")]
    await archive.put(gone[0], b"kept")
    first = operators.start(**CI, **folder)

    async def is_gone() -> bool:
        return not await has(archive, gone)

    await until(is_gone)
    assert await has(archive, kept)
    first.terminate()
    await asyncio.to_thread(first.wait, 20)
    await archive.put(gone[0], b"kept")
    marker = key(lab.namespace, "owner", "owner")
    await archive.put(marker, b"another")
    operators.start(**CI, **folder)

    async def says_whose() -> bool:
        return "another installation's" in await asyncio.to_thread((operators.folder / "operator-1.log").read_text)

    await until(says_whose)
    assert await has(archive, [*kept, *gone, marker])
