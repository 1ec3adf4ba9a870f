"""How kopf gets its connections, and what they tell."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from berth_operator.engine.login import Login


@asynccontextmanager
async def answering() -> AsyncIterator[str]:
    """A server that answers everything, with the status that is asked for."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({}, status=int(request.query.get("status", "200")))

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def kubeconfig(folder: Path, server: str, **user: Any) -> str:
    path = folder / "kubeconfig"
    config = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(yaml.safe_dump(config))
    return str(path)


async def test_lists_from_which_watches_begin_are_told_and_nothing_else(tmp_path: Path) -> None:
    told: list[str] = []
    async with answering() as server:
        login = Login(kubeconfig(tmp_path, server, token="t"), told.append)
        opened = (await login.open()).aiohttp_session
        async with opened:
            for path in ("/api/v1/namespaces/a/pods?limit=100", "/apis/batch/v1/jobs"):
                await (await opened.get(server + path)).read()
            assert told == ["pods", "jobs"]
            for path in ("/api/v1/namespaces/a/pods?watch=true", "/api/v1/namespaces/a/pods?status=403"):
                await (await opened.get(server + path)).read()
            await (await opened.post(f"{server}/api/v1/namespaces/a/pods")).read()
            assert told == ["pods", "jobs"]


async def test_a_session_is_new_when_the_credentials_are(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, "http://127.0.0.1:1", token="one")
    login = Login(path, lambda _: None)
    first = await login.open()
    assert await login.open() == first
    kubeconfig(tmp_path, "http://127.0.0.1:1", token="two")
    second = await login.open()
    assert second != first
    for opened, token in ((first, "one"), (second, "two")):
        assert opened.aiohttp_session.headers["Authorization"] == f"Bearer {token}"
        await opened.aiohttp_session.close()
