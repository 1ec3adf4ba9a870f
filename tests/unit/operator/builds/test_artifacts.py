import asyncio
import base64
import gzip
import hashlib
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import orjson
import pytest
from promised import promised

from berth_core.archive import storage as archive
from berth_core.archive.settings import ArchiveSettings
from berth_core.archive.storage import PATIENCE as PATIENCE_FOR_ANSWERS
from berth_core.archive.storage import Archive, SilentError
from berth_core.kube.client import Client
from berth_core.kube.containers import Container
from berth_core.kube.errors import NotFoundError, UnavailableError
from berth_core.kube.types import Object
from berth_core.resources import Build
from berth_core.resources.build import IN_ARCHIVE
from berth_operator.builds.archive import MOST_REQUESTS, GatedArchive
from berth_operator.builds.artifacts import (
    LOG_PATIENCE,
    PATIENCE,
    Kept,
    NotKept,
    NotYetError,
    drop_parts,
    keep,
    unpacked,
)
from berth_operator.builds.manifests.jobs import Attempt
from berth_operator.builds.observed import PodSeen, SeenBuild, StepSeen
from berth_operator.engine.clock import Clock
from berth_operator.engine.world import World
from berth_operator.registry import make_world
from berth_operator.settings.builds import CiSettings

from ..samples import CONFIG, NOW

TARBALL = bytes(range(256)) * 40
ONE_WAIT = min(PATIENCE_FOR_ANSWERS + promised(2), 2 * PATIENCE_FOR_ANSWERS - 1)
"""Less than two waits for an archive, one after the other."""
NO_WAIT = min(promised(1), PATIENCE_FOR_ANSWERS - 2)


def printed(header: object, content: bytes = TARBALL) -> bytes:
    lines = [base64.b64encode(content[start : start + 300]) for start in range(0, len(content), 300)]
    return b"\n".join([orjson.dumps(header), *lines]) + b"\n"


def header(content: bytes = TARBALL) -> dict[str, object]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_what_was_printed_is_what_was_packed() -> None:
    assert unpacked(printed(header())) == (len(TARBALL), header()["sha256"], TARBALL, "")


def test_nothing_is_nothing() -> None:
    assert unpacked(b"") == (0, "", b"", "")
    assert unpacked(b"{}\n") == (0, "", b"", "")
    assert unpacked(b'{"error": "too large"}\n') == (0, "", b"", "too large")


@pytest.mark.parametrize(
    "text",
    [
        printed(header())[:-400],
        printed(header() | {"sha256": "0" * 64}),
        printed(header())[400:],
        b"[]\n",
        b"Traceback (most recent call last):\n",
    ],
)
def test_a_part_of_it_is_none(text: bytes) -> None:
    size, _, packed, problem = unpacked(text)
    assert (size, packed) == (0, b"")
    assert problem.startswith("the artifacts came incomplete")


UID = "4dd1a1c6-7d8c-4c1f-9a61-1a1f0f3e6b55"
PRINTED = b"$ make\nall is well\n"


def ended(status: Object | None = None) -> Build:
    metadata = {"name": "one", "namespace": "lab", "uid": UID}
    spec = {"project": "p", "user": "ada", "branch": "main"}
    return Build.parse({"metadata": metadata, "spec": spec, "status": {"attempt": 1} | (status or {})})


def world_with(kept: Archive | None, log_error: UnavailableError | None = None) -> World:
    async def pod_log(_: str, __: str, container: str, **___: object) -> AsyncIterator[bytes]:
        if log_error is not None:
            raise log_error
        yield PRINTED if container != "artifacts" else printed(header())

    client = cast(Client, SimpleNamespace(pod_log=pod_log))
    world = make_world(CONFIG, client, Clock())
    world.archive = kept
    return world


async def kept_of(world: World) -> Kept:
    over = {name: Container("terminated", started=NOW) for name in ("checkout", "artifacts", "script")}
    seen = SeenBuild(ended(), fetch=StepSeen(), run=StepSeen(pod=PodSeen("run", containers=over)))
    return await keep(world, Attempt(seen.build), CiSettings("ci"), seen)


async def test_log_and_artifacts_go_to_the_archive_and_from_it(tmp_path: Path) -> None:
    world = world_with(Archive(ArchiveSettings(folder=tmp_path)))
    kept = await kept_of(world)
    assert (kept.place, kept.missing) == (IN_ARCHIVE, "")
    assert world.archive is not None
    assert kept.artifacts is not None
    paths = [archive.key("lab", UID, name) for name in (*kept.log, *kept.artifacts.config_maps)]
    assert gzip.decompress(await world.archive.get(paths[0])) == PRINTED * 2
    assert await world.archive.get(paths[1]) == TARBALL
    told = {"log": kept.log, "artifacts": kept.artifacts.wire(), "keptIn": "Archive"}
    for _ in range(2):
        await drop_parts(world, ended(told))
    for path in paths:
        with pytest.raises(NotFoundError):
            await world.archive.get(path)


def long_ago(world: World, seconds: float) -> None:
    """Let all that could not be kept of a build have failed that much longer."""
    for since in world.state(NotKept).values():
        since.update({source: at - seconds for source, at in since.items()})


async def test_a_build_waits_ten_minutes_for_an_archive_then_ends_without_what_it_does_not_take(tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("no folder")
    world = world_with(Archive(ArchiveSettings(folder=tmp_path)))
    pauses = []
    for seconds in (0, 1, 10, PATIENCE - 20):
        long_ago(world, seconds)
        with pytest.raises(NotYetError) as told:
            await kept_of(world)
        pauses.append(round(told.value.seconds))
    assert pauses == [1, 1, 11, 30]
    long_ago(world, 30)
    kept = await kept_of(world)
    assert (kept.log, kept.log_size, kept.artifacts, kept.place) == ([], 0, None, None)
    assert "the artifacts could not be kept" in kept.missing
    assert "the log could not be kept" in kept.missing
    assert world.state(NotKept) == {}


async def test_a_node_that_gives_no_logs_is_no_reason_to_give_the_archive_up(tmp_path: Path) -> None:
    (tmp_path / "lab").write_text("no folder")
    world = world_with(Archive(ArchiveSettings(folder=tmp_path)))
    answers, world.client = world.client, world_with(None, log_error=UnavailableError("no route to the node")).client
    with pytest.raises(NotYetError):
        await kept_of(world)
    long_ago(world, LOG_PATIENCE)
    assert "could not be read" in (await kept_of(world)).missing
    with pytest.raises(NotYetError):
        await kept_of(world)
    long_ago(world, PATIENCE - 10)
    world.client = answers
    with pytest.raises(NotYetError):
        await kept_of(world)
    (tmp_path / "lab").unlink()
    kept = await kept_of(world)
    assert (len(kept.log), kept.missing) == (1, "")


@pytest.mark.thorough
async def test_an_archive_that_hangs_costs_a_build_one_short_wait_and_the_next_ones_none() -> None:
    async with hanging() as endpoint:
        world = world_with(GatedArchive(ArchiveSettings(bucket="lab", endpoint=endpoint, key_id="k", secret="s")))
        for most in (ONE_WAIT, NO_WAIT):
            async with asyncio.timeout(most):
                with pytest.raises(NotYetError):
                    await kept_of(world)
        await asyncio.wait_for(gone_by_bounds(world), NO_WAIT)


@pytest.mark.thorough
async def test_few_wait_for_an_archive_at_once_and_others_are_turned_away() -> None:
    async with hanging() as endpoint:
        archive = GatedArchive(ArchiveSettings(bucket="lab", endpoint=endpoint, key_id="k", secret="s"))
        began = time.monotonic()
        puts = [asyncio.create_task(archive.put(f"k{number}", b"x")) for number in range(32)]
        done, waiting = await asyncio.wait(puts, timeout=NO_WAIT)
        assert len(waiting) == MOST_REQUESTS
        assert all(isinstance(task.exception(), UnavailableError) for task in done)
        await asyncio.wait(waiting)
        assert all(isinstance(task.exception(), SilentError) for task in waiting)
        assert time.monotonic() - began < ONE_WAIT


async def test_an_archive_that_refuses_one_part_is_asked_for_the_next(tmp_path: Path) -> None:
    """Only silence makes it count as away."""
    archive = GatedArchive(ArchiveSettings(folder=tmp_path))
    (tmp_path / "lab").write_text("no folder")
    with pytest.raises(UnavailableError):
        await archive.put("lab/part", b"x")
    await archive.put("other/part", b"x")
    assert await archive.get("other/part") == b"x"


async def gone_by_bounds(world: World) -> None:
    with pytest.raises(UnavailableError):
        await drop_parts(world, ended({"log": ["part"], "keptIn": "Archive"}))


@asynccontextmanager
async def hanging() -> AsyncIterator[str]:
    """An endpoint that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
