"""Instructions for receivers in docs/how-to/webhooks.md work as they are written."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from berth_core.keys import webhooks
from berth_dev.paths import REPOSITORY
from berth_dev.ports import free_port

from .post import Post, receiving, shown
from .process import Notifiers

pytestmark = pytest.mark.apiserver


def block(language: str) -> str:
    """The page's only block of a language."""
    page = (REPOSITORY / "docs/how-to/webhooks.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)
    return str(found)


async def test_the_receiver_takes_what_is_its_users_and_refuses_the_rest(
    post: Post, notifiers: Notifiers, keys: Path, tmp_path: Path
) -> None:
    port, secret = free_port(), webhooks.user_secret((keys / "master").read_bytes(), "alice")
    with receiver(tmp_path, port, secret):
        await _listening(port)
        notifiers.start()
        await post.make("mine", f"http://127.0.0.1:{port}/", payload='{"data": {"instance": "6f1d"}}')
        await post.make("bobs", f"http://127.0.0.1:{port}/", user="bob")
        await post.until("mine", lambda d: shown(d, "Delivered") == ("True", "Delivered"))
        refused = await post.until("bobs", lambda d: shown(d, "Delivered") == ("False", "Refused"))
        assert "401" in refused.status.conditions[0].message
    assert "your turn: 6f1d" in (tmp_path / "receiver.log").read_text()


@contextmanager
def receiver(folder: Path, port: int, secret: str) -> Iterator[None]:
    """The page's receiver, as a process for the length of a `with` block."""
    (folder / "receiver.py").write_text(block("python"))
    with (folder / "receiver.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(folder / "receiver.py")],
            env=os.environ | {"WEBHOOK_SECRET": secret, "PORT": str(port)},
            stdout=log,
            stderr=log,
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


async def _listening(port: int) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


async def test_openssl_verifies_with_the_public_key(
    post: Post, notifiers: Notifiers, keys: Path, tmp_path: Path
) -> None:
    notifiers.start()
    async with receiving() as open_one:
        await post.make("mine", open_one.url)
        await post.until("mine", lambda d: shown(d, "Delivered") == ("True", "Delivered"))
    (got,) = open_one.got
    settings = {
        "KEY": webhooks.public_key((keys / "ed25519.pem").read_bytes()),
        "ID": got.id,
        "TIMESTAMP": got.headers["webhook-timestamp"],
        "SIGNATURE": got.headers["webhook-signature"],
    }
    assert "Signature Verified Successfully" in openssl(tmp_path, got.body, settings)
    assert "Signature Verification Failure" in openssl(tmp_path, got.body + b" ", settings)


def openssl(folder: Path, body: bytes, settings: dict[str, str]) -> str:
    """Output of the page's commands for a body."""
    (folder / "body.json").write_bytes(body)
    words = ["bash", "-e", "-c", block("bash")]
    done = subprocess.run(words, cwd=folder, env=os.environ | settings, capture_output=True, text=True, timeout=30)
    return done.stdout + done.stderr
