"""A request that is cancelled ends as cancelled, also where its time is over at the same moment."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from berth_core.kube import client as cluster
from berth_core.kube.connection import connected
from berth_core.kube.errors import UnavailableError
from berth_core.kube.types import Kind

PODS = Kind("v1", "pods")
SECONDS = 0.2


def kubeconfig(folder: Path, port: int) -> str:
    """Write a kubeconfig for a port of this machine, without TLS."""
    parts = {
        "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "it", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "current-context": "it",
    }
    path = folder / "kubeconfig"
    path.write_text(json.dumps(parts))
    return str(path)


@pytest.mark.parametrize("cancel_after", [SECONDS / 2, SECONDS + 0.05, None])
async def test_a_cancellation_counts_at_the_end_of_a_requests_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cancel_after: float | None
) -> None:
    """A process that was stopped finds both due at once when it goes on."""
    monkeypatch.setattr(cluster, "REQUEST_SECONDS", SECONDS)
    heard = asyncio.Event()

    async def never_answer(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        heard.set()

    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connected("berth-test", kubeconfig(tmp_path, port)) as client:
            asked = asyncio.ensure_future(client.get(PODS, "lab", "one"))
            await heard.wait()
            if cancel_after is not None:
                asyncio.get_running_loop().call_later(cancel_after, asked.cancel)
            time.sleep(2 * SECONDS)  # noqa: ASYNC251 (as if the process were stopped)
            with pytest.raises(UnavailableError if cancel_after is None else asyncio.CancelledError):
                await asked
