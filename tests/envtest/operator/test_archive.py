"""Logs and artifacts of builds go from the archive as they would from the cluster's store, and nobody else's do."""

import asyncio
import gzip
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from buckets import Bucket, bucket

from berth_core import names
from berth_core.archive.settings import ArchiveSettings, archive_settings
from berth_core.archive.storage import Archive, key
from berth_core.kube.errors import NotFoundError, UnavailableError
from berth_core.kube.model import timestamp
from berth_core.kube.types import Kind
from berth_dev.envtest.apiserver import ApiServer
from berth_operator.engine.workqueue import Key
from berth_operator.sweeps.archive import SOON_SECONDS, sweep
from berth_operator.sweeps.history import sweep_history

from .builds import CI, build, ended, is_over, pod_of, project, reads, says, started
from .lab import BUILDS, INSTANCES, Lab, condition
from .printing import PRINTED, printing
from .process import Operators
from .worlds import world_of

pytestmark = pytest.mark.apiserver

CONFIG_MAPS = Kind("v1", "configmaps")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with bucket(tmp_path_factory.mktemp("bucket")) as made:
        yield made


@pytest.fixture
def archive(place: Bucket) -> Archive:
    settings = archive_settings(place.environment())
    assert settings is not None
    return Archive(settings)


async def over(lab: Lab, archive: Archive | None, name: str, minutes_ago: int) -> list[str]:
    """A Build that has ended and left a log and artifacts in the archive (None for one that hangs); their keys."""
    made = await lab.create(BUILDS, name, {"project": "p-ada", "user": "ada", "branch": "main"})
    uid = made["metadata"]["uid"]
    parts = [names.build_part(uid, 1, kind, 0) for kind in ("log", "artifacts")]
    keys = [key(lab.namespace, uid, part) for part in parts]
    if archive is not None:
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


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    """Ask again and again: neither an archive nor a log tells of changes."""
    async with asyncio.timeout(seconds):
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
    keys, others = await over(lab, archive, "one", 1), await over(lab, archive, "other", 1)
    operators.start(**CI, **place.environment())
    await lab.client.patch(BUILDS, lab.namespace, "one", {"spec": {"attempt": 2}})
    shown = await lab.until(BUILDS, "one", lambda o: o["status"]["attempt"] == 2, seconds=60)
    assert "log" not in shown["status"]
    assert "keptIn" not in shown["status"]

    async def gone() -> bool:
        return not (await has(archive, keys[:1]) or await has(archive, keys[1:]))

    await until(gone, seconds=SOON_SECONDS + 30)
    assert await has(archive, others)


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
    await asyncio.to_thread(first.wait, 60)
    await archive.put(gone[0], b"kept")
    marker = key(lab.namespace, "owner", "owner")
    await archive.put(marker, b"another")
    operators.start(**CI, **folder)

    async def says_whose() -> bool:
        return "another installation's" in await asyncio.to_thread((operators.folder / "operator-1.log").read_text)

    await until(says_whose)
    assert await has(archive, [*kept, *gone, marker])
    # One that is gone for good is followed on purpose, as docs/how-to/ci.md says.
    operators.stop_all()
    follows = {"metadata": {"annotations": {"berth.dev/archive-owner": "another"}}}
    await lab.client.patch(CONFIG_MAPS, lab.namespace, "berth-release", follows)
    operators.start(**CI, **folder)
    await until(is_gone)
    assert await has(archive, [*kept, marker])


class Stubborn(Archive):
    """A folder that never lets one part go."""

    stays = ""

    async def delete(self, key: str) -> None:
        if key == self.stays:
            raise UnavailableError("it is locked")
        await super().delete(key)


async def test_a_part_that_an_archive_never_lets_go_keeps_no_other(lab: Lab, tmp_path: Path) -> None:
    await project(lab)
    archive = Stubborn(ArchiveSettings(folder=tmp_path))
    left = [key(lab.namespace, f"gone-{number}", "b-gone-1-log-0") for number in range(3)]
    for path in left:
        await archive.put(path, b"kept")
    stuck, other = [await over(lab, archive, name, 120) for name in ("a", "b")]
    archive.stays = left[0]
    world = await world_of(lab)
    world.archive = archive
    await lab.client.create(CONFIG_MAPS, lab.namespace, {"metadata": {"name": "berth-release"}})
    with pytest.raises(UnavailableError, match="1 parts are left, 2 are deleted"):
        await sweep(world, archive, lab.namespace)
    assert await has(archive, left[:1])
    assert not await has(archive, left[1:2])
    assert not await has(archive, left[2:])
    # So do the bounds of what is kept.
    archive.stays = stuck[0]
    for obj in (await lab.client.list(BUILDS, lab.namespace))[0]:
        world.cache[BUILDS].put(obj)
    await sweep_history(world, Key("history", "", ""))
    assert await has(archive, stuck[:1])
    assert not await has(archive, other[:1])
    assert (await lab.get(BUILDS, "b"))["status"]["log"] == []
    assert (await lab.get(BUILDS, "a"))["status"]["log"] != []


async def test_what_an_attempt_left_goes_with_a_sweep_and_what_is_newer_stays(lab: Lab, tmp_path: Path) -> None:
    await project(lab)
    archive = Archive(ArchiveSettings(folder=tmp_path))
    kept = await over(lab, archive, "one", 1)
    world = await world_of(lab)
    await lab.client.create(CONFIG_MAPS, lab.namespace, {"metadata": {"name": "berth-release"}})
    assert await sweep(world, archive, lab.namespace) == 0, "nothing is known of the Build's status"
    await lab.client.patch(BUILDS, lab.namespace, "one", {"spec": {"attempt": 2}})
    uid = (await lab.get(BUILDS, "one"))["metadata"]["uid"]
    newer = [key(lab.namespace, uid, names.build_part(uid, attempt, "log", 0)) for attempt in (2, 3)]
    for path in newer:
        await archive.put(path, b"kept")
    await lab.status_patch(BUILDS, "one", {"attempt": 2})
    world.cache[BUILDS].put(await lab.get(BUILDS, "one"))
    assert await sweep(world, archive, lab.namespace) == len(kept)
    assert await has(archive, newer)


async def queue_age(operators: Operators) -> float:
    """Seconds for which the key that was neglected longest has waited; fails where the probe would."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{operators.ports[-1]}/healthz")
    assert answer.status_code == 200
    return float(answer.json()["queueAgeSeconds"])


@pytest.mark.release(twin="tests/unit/operator/builds/test_artifacts.py")
@pytest.mark.parametrize("listens", [True, False], ids=["hangs", "refuses"])
async def test_leases_go_on_and_health_stays_good_while_an_archive_is_away(
    lab: Lab, apiserver: ApiServer, operators: Operators, listens: bool
) -> None:
    """Builds that begin anew, builds that end, and one that is kept for too long: all have something to do there."""
    await project(lab)
    async with printing(lab, apiserver) as node, silent(listens=listens) as endpoint:
        builds = [f"build-{number}" for number in range(40)]
        for name in builds:
            await over(lab, None, name, 1)
            await lab.client.patch(BUILDS, lab.namespace, name, {"spec": {"attempt": 2}})
        await over(lab, None, "old", 120)
        settings = {"BERTH_ARCHIVE": "s3://lab/berth", "BERTH_ARCHIVE_ENDPOINT": endpoint}
        keys = {"BERTH_ARCHIVE_KEY_ID": "k", "BERTH_ARCHIVE_SECRET": "s"}
        bounds = {"BERTH_CI_KEPT_RETENTION": "1h", "BERTH_CI_CONCURRENT": "40", "BERTH_CI_MAX_PER_USER": "40"}
        operators.start(**CI, **settings, **keys, **bounds)
        await lab.type()
        await lab.deployment("one")
        for name in builds:
            made = await lab.until(BUILDS, name, lambda o: o["status"]["attempt"] == 2, seconds=20)
            job = await started(lab, made["metadata"]["uid"], "fetch", attempt=2)
            pod = await pod_of(lab, job, nodeName=node)
            await says(lab, pod, "Failed", fetch=ended(1, '{"error": "RecipeInvalid", "message": "no"}'))
        for name in builds:
            await reads(lab, name, "Ended", "Keeping", seconds=60)
            assert await queue_age(operators) < 20
        instance = await lab.instance(workspaceType="bench")
        await lab.until(INSTANCES, instance, lambda o: condition(o, "Bound", "status") == "True", seconds=10)


@asynccontextmanager
async def silent(*, listens: bool) -> AsyncIterator[str]:
    """An endpoint that takes connections and never answers, or that takes none."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listens:
            server.listen(1024)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.release(twin="tests/unit/operator/builds/test_artifacts.py")
async def test_no_log_is_lost_to_an_archive_that_is_away_for_a_while(
    lab: Lab, apiserver: ApiServer, operators: Operators, tmp_path: Path
) -> None:
    await project(lab)
    with bucket(tmp_path) as place:
        async with printing(lab, apiserver) as node:
            place.stop()
            operators.start(**CI, **place.environment())
            uid = await build(lab, "one")
            pod = await pod_of(lab, await started(lab, uid, "fetch"), nodeName=node)
            await says(lab, pod, "Failed", fetch=ended(1, '{"error": "RecipeInvalid", "message": "no"}'))
            await reads(lab, "one", "Ended", "Keeping", seconds=30)

            async def was_refused_often() -> bool:
                log = await asyncio.to_thread((operators.folder / "operator-0.log").read_text)
                return log.count("cannot keep all of a build") > 3

            await until(was_refused_often)
            place.start()
            status = (await is_over(lab, "one", seconds=60))["status"]
            assert (status["reason"], status["message"], status["keptIn"]) == ("RecipeInvalid", "no", "Archive")
            settings = archive_settings(place.environment())
            assert settings is not None
            kept = await Archive(settings).get(key(lab.namespace, uid, status["log"][0]))
            assert gzip.decompress(kept) == PRINTED
