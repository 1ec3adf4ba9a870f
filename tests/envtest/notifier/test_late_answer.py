"""A watch may tell of a change before the answer to an earlier write arrives: the later one counts."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from berth_core.kube.cache import Cache, version_of
from berth_core.kube.connection import connected
from berth_core.kube.model import timestamp
from berth_core.kube.reflector import Reflector
from berth_core.kube.types import Object
from berth_dev.envtest.apiserver import ApiServer
from berth_notifier.notifying import Notifier
from berth_notifier.sending import Sender
from berth_notifier.signing import Keys
from berth_notifier.tokens import Token, TokenError

from .post import DELIVERIES, Post, receiving, shown

pytestmark = pytest.mark.apiserver


async def test_a_shorter_wait_counts_though_the_answer_of_the_attempt_comes_after_it(
    post: Post, apiserver: ApiServer, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache[Object](lambda obj: obj, {"subject": lambda _: ()})
    async with connected("berth-test-notifier", str(apiserver.kubeconfig)) as client, receiving(500, 204) as receiver:
        patch = client.patch

        async def late(*arguments: Any, **options: Any) -> Object:
            """Answer a write that says how an attempt failed once the cache knows of a change after it."""
            answer = await patch(*arguments, **options)
            if answer["status"]["attempts"] == 1 and answer["status"].get("conditions"):
                heard = asyncio.Event()
                cache.listen(lambda *_: heard.set())
                await post.patch_status("mine", {"nextAttempt": timestamp(datetime.now(UTC))})
                while version_of(cache.get(post.namespace, "mine") or answer) <= version_of(answer):
                    await heard.wait()
                    heard.clear()
            return answer

        monkeypatch.setattr(client, "patch", late)
        deliveries = Reflector(client, DELIVERIES, [post.namespace], cache)
        sender = Sender(aiohttp.TCPConnector(), lambda: Keys.read(keys), _no_token, "berth/test")
        notifier = Notifier(client, deliveries, sender)
        tasks = [asyncio.create_task(deliveries.run()), asyncio.create_task(notifier.run())]
        try:
            # Without that change the second attempt would follow after an hour.
            receiver.first_pause = 3600
            await post.make("mine", receiver.url)
            done = await post.until("mine", lambda d: shown(d, "Delivered") == ("True", "Delivered"))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await sender.close()
    assert done.status.attempts == 2


async def _no_token(name: str) -> Token:
    raise TokenError(name)
