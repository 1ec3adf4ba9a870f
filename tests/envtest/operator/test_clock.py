"""The operator's clock against the API server's: a proxy in between changes the `Date` that the server tells."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from berth_core.kube.model import timestamp

from .lab import EVENTS, INSTANCES, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

NOT_PASSED_ON = {"transfer-encoding", "content-length", "connection", "host", "accept-encoding"}


@dataclass
class OtherClock:
    """A reverse proxy whose answers have another `Date`."""

    url: str
    shift: timedelta
    session: aiohttp.ClientSession = field(init=False)

    async def forward(self, request: web.Request) -> web.StreamResponse:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in NOT_PASSED_ON}
        target, body = self.url + request.raw_path, await request.read()
        async with self.session.request(request.method, target, headers=headers, data=body or None) as answer:
            passed = {k: v for k, v in answer.headers.items() if k.lower() not in NOT_PASSED_ON}
            passed["Date"] = format_datetime(parsedate_to_datetime(answer.headers["Date"]) + self.shift, usegmt=True)
            response = web.StreamResponse(status=answer.status, headers=passed)
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response


def cluster_of(kubeconfig: Path) -> dict[str, str]:
    cluster: dict[str, str] = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    return cluster


def point(kubeconfig: Path, server: str) -> None:
    config = yaml.safe_load(kubeconfig.read_text())
    config["clusters"][0]["cluster"] = {"server": server}
    kubeconfig.write_text(yaml.safe_dump(config))


@asynccontextmanager
async def other_clock(kubeconfig: Path, shift: timedelta) -> AsyncIterator[OtherClock]:
    """Put the proxy in front of the kubeconfig's server, and into the kubeconfig."""
    cluster = cluster_of(kubeconfig)
    proxy = OtherClock(cluster["server"], shift)
    trust = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", proxy.forward)
    connector = aiohttp.TCPConnector(ssl=trust, limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, auto_decompress=False, skip_auto_headers={"Content-Type"}
    ) as proxy.session:
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        point(kubeconfig, f"http://127.0.0.1:{runner.addresses[0][1]}")
        try:
            yield proxy
        finally:
            await runner.cleanup()


async def ready(lab: Lab, *, left: float) -> datetime:
    """An Instance `mine` that was ready for an hour and ends in so many seconds; when that is."""
    await lab.type()
    await lab.deployment("one")
    await lab.instance("mine", deployments=["one"])
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True")
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=left)
    since = timestamp(end - timedelta(hours=1))
    await lab.status_patch(INSTANCES, "mine", {"readyTime": since, "expireTime": timestamp(end)})
    return end


async def test_nothing_ends_by_a_clock_that_is_wrong_and_it_does_once_it_is_right(
    lab: Lab, operators: Operators
) -> None:
    async with other_clock(operators.kubeconfig, timedelta(minutes=1)) as server:
        operators.start()
        end = await ready(lab, left=3)
        event = await lab.told("ClockNotTrusted", timestamp(end))
        assert event["regarding"]["name"] == "mine"
        assert "reason" not in (await lab.get(INSTANCES, "mine"))["status"]
        server.shift = timedelta(0)
        ended = await lab.until(INSTANCES, "mine", lambda o: o["status"].get("reason"), seconds=25)
        assert ended["status"]["reason"] == "Expired"
        await asyncio.to_thread(operators.stop_all)


@pytest.mark.release(twin="tests/unit/operator/instances/test_notice.py")
async def test_an_event_warns_of_each_end_once_whoever_leads(lab: Lab, operators: Operators) -> None:
    first = operators.start()
    end = await ready(lab, left=240)
    event = await lab.told("EndsSoon", f"{end:%H:%M:%S} UTC")
    assert event["type"] == "Warning"
    first.terminate()
    await asyncio.to_thread(first.wait)
    operators.start()
    later = end + timedelta(seconds=20)
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"expireAfter": 3620}})
    await lab.told("EndsSoon", f"{later:%H:%M:%S} UTC", seconds=30)
    events, _ = await lab.client.list(EVENTS, lab.namespace)
    assert len([one for one in events if one.get("reason") == "EndsSoon"]) == 2
