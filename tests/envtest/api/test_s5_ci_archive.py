"""Contract §5, "CI": logs and artifacts come from an archive as they come from the cluster's store."""

import gzip
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from berth_core import names
from berth_core.archive.settings import ArchiveSettings
from berth_core.archive.storage import Archive, key

from . import process
from .ci import asked, end, following, resource
from .conftest import Setting, user_client
from .signing import Signer
from .world import World

pytestmark = pytest.mark.apiserver

TEXT = "".join(f"line {number}\n" for number in range(1, 200))
DATA = bytes(range(256)) * 1000


@dataclass(frozen=True)
class Archived:
    """A replica that was told of an archive."""

    carol: httpx.AsyncClient
    archive: Archive
    folder: Path


@pytest_asyncio.fixture(scope="module")
async def archived(
    setting: Setting, signer: Signer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Archived]:
    folder: Path = tmp_path_factory.mktemp("archive")
    settings = setting.environment(BERTH_ARCHIVE=f"file://{folder}")
    async with process.in_thread(process.running(settings, setting.folder / "archived.log")) as api:
        async with user_client(api, signer.token("carol")) as carol:
            yield Archived(carol, Archive(ArchiveSettings(folder=folder)), folder)


async def kept(world: World, archived: Archived, ns: str) -> tuple[str, list[str]]:
    """A build that has ended, with a log and artifacts in the archive: its path, and the keys."""
    jid = await asked(archived.carol, ns)
    found = (await resource(world, jid)).metadata
    parts = [names.build_part(jid, 1, kind, 0) for kind in ("log", "artifacts")]
    keys = [key(found.namespace, found.uid, part) for part in parts]
    for path, content in zip(keys, (gzip.compress(TEXT.encode()), DATA), strict=True):
        await archived.archive.put(path, content)
    left = {"size": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest(), "configMaps": parts[1:]}
    await end(world, jid, log=parts[:1], artifacts=left, keptIn="Archive")
    return f"/ci/project/{ns}/job/{jid}", keys


async def test_log_and_artifacts_come_as_they_were_kept(world: World, archived: Archived) -> None:
    path, _ = await kept(world, archived, "archived")
    answer = await archived.carol.get(f"{path}/log")
    assert (answer.status_code, answer.text) == (200, TEXT)
    async with following(archived.carol, f"{path}/log", after=198) as events:
        assert [event.data async for event in events] == ["passed", "line 199", "passed"]
    answer = await archived.carol.get(f"{path}/artifacts")
    assert (answer.status_code, answer.content) == (200, DATA)


async def test_what_has_gone_from_the_archive_is_missing(world: World, archived: Archived) -> None:
    path, keys = await kept(world, archived, "emptied")
    for one in keys:
        await archived.archive.delete(one)
    for what in ("log", "artifacts"):
        answer = await archived.carol.get(f"{path}/{what}")
        assert answer.status_code == 404, what
        assert "deleted" in answer.json()["error_message"]


async def test_a_replica_that_knows_no_archive_says_so(
    world: World, archived: Archived, root: httpx.AsyncClient
) -> None:
    path, _ = await kept(world, archived, "elsewhere")
    answer = await root.get(f"{path}/artifacts")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert "archive" in answer.json()["error_message"]


async def test_an_archive_that_does_not_answer_is_named(world: World, archived: Archived) -> None:
    path, keys = await kept(world, archived, "archive-silent")
    # The build's folder is a file: no file's mode stops root, who runs these tests.
    folder = (archived.folder / keys[0]).parent
    folder.rename(folder.with_name("moved"))
    folder.touch()
    for what in ("log", "artifacts"):
        answer = await archived.carol.get(f"{path}/{what}")
        assert answer.status_code == 503, what
        assert answer.headers["retry-after"]
        assert answer.json() == {"error_message": "the archive of builds does not answer. Try again later."}
