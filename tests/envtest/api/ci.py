"""Builds of the tests: asked for through the API, and taken on as the operator would."""

import base64
import gzip
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from berth_core.builds import ENDED
from berth_core.kube.types import Kind, Object
from berth_core.resources import Build, Project

from .world import LATER, World

URL = "https://git.example.test/lab/arm.git"
CONFIG_MAPS = Kind("v1", "configmaps")
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class Event:
    """A server-sent event; a comment has the name ``comment``."""

    name: str
    data: str
    id: int | None = None


async def asked(client: httpx.AsyncClient, ns: str, **options: Any) -> str:
    """Start a build of a project, which is made where it is new; its id."""
    body = {"ns": ns, "repo_type": "git", "repo_url": URL, "repo_branch": "main"} | options
    answer = await client.post("/ci/new", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() == {"pid", "jid"}
    assert answer.json()["pid"] == ns
    jid: str = answer.json()["jid"]
    return jid


async def resource(world: World, jid: str) -> Build:
    """The resource of a build that the API made."""
    return Build.parse(await world.client.get(Build.api(), world.namespaces.workspaces, jid))


async def project_resource(world: World, ns: str) -> Project:
    """The resource of a project."""
    found, _ = await world.client.list(Project.api(), world.namespaces.workspaces, fields={"spec.name": ns})
    (only,) = found
    return Project.parse(only)


async def as_operator(world: World, jid: str, *, ended: bool | None = None, **status: Any) -> None:
    """Write a build's status in the operator's place; `ended` writes the condition Ended too."""
    found = await resource(world, jid)
    body: Object = {"id": jid, "attempt": found.spec.attempt} | status
    if ended is not None:
        word = "True" if ended else "False"
        told = {"type": ENDED, "status": word, "reason": "Test", "message": "waits", "lastTransitionTime": LATER}
        body["conditions"] = [told]
    await world.client.patch(Build.api(), world.namespaces.workspaces, jid, {"status": body}, subresource="status")


async def end(world: World, jid: str, reason: str = "Passed", **status: Any) -> None:
    """Let a build come to its end."""
    times = {"startTime": "2026-01-01T00:00:00Z", "endTime": "2026-01-01T00:01:00Z"}
    await as_operator(world, jid, ended=True, reason=reason, **times | status)


async def stored(world: World, jid: str, data: bytes, *, parts: int = 2, kind: str = "log") -> list[str]:
    """Keep bytes beside a build, in some ConfigMaps; their names."""
    size = -(-len(data) // parts)
    made = []
    for number in range(parts):
        piece = data[number * size : (number + 1) * size]
        name = f"b-{jid}-1-{kind}-{number}"
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": world.namespaces.workspaces},
            "binaryData": {"part": base64.b64encode(piece).decode()},
        }
        await world.client.create(CONFIG_MAPS, world.namespaces.workspaces, body)
        made.append(name)
    return made


async def log_of(world: World, jid: str, text: bytes) -> list[str]:
    """Keep a log."""
    return await stored(world, jid, gzip.compress(text))


async def artifacts_of(world: World, jid: str, data: bytes, **changes: Any) -> Object:
    """Keep artifacts; what the status says of them."""
    names = await stored(world, jid, data, kind="artifacts")
    digest = hashlib.sha256(data).hexdigest()
    return {"size": len(data), "sha256": digest, "configMaps": names} | changes


@asynccontextmanager
async def following(
    client: httpx.AsyncClient, path: str, after: int | None = None
) -> AsyncIterator[AsyncIterator[Event]]:
    """Follow a log."""
    headers = {"Last-Event-ID": str(after)} if after is not None else {}
    async with client.stream("GET", f"{path}?follow", headers=headers) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[Event]:
    name, number, data = "message", None, list[str]()
    async for line in answer.aiter_lines():
        field, _, value = line.partition(": ")
        if line == "":
            if data:
                yield Event(name, "\n".join(data), number)
            name, number, data = "message", None, []
        elif line.startswith(":"):
            yield Event("comment", value)
        elif field == "event":
            name = value
        elif field == "id":
            number = int(value)
        else:
            assert field.removesuffix(":") == "data", line
            data.append(value)
