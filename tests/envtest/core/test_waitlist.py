"""The live list of those who wait."""

from typing import Any

import pytest

from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_core.leases import waitlist
from berth_core.resources import Instance, Reservation

from .objects import create

pytestmark = pytest.mark.apiserver

LEASE = {"deployment": "one", "epoch": 1}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of all that is read."""
    names, real = list[str](), Client.request

    async def noting(client: Client, method: str, path: str, **more: Any) -> Object:
        answer = await real(client, method, path, **more)
        names.extend(obj["metadata"]["name"] for obj in answer.get("items") or [])
        return answer

    monkeypatch.setattr(Client, "request", noting)
    return names


async def test_it_reads_those_who_wait_and_not_the_many_whose_time_is_over(
    client: Client, namespace: str, read: list[str]
) -> None:
    for name in ("waits", "given-up", "had-it"):
        await create(client, namespace, Instance, name)
    await create(client, namespace, Instance, "has-it", claim=LEASE)
    await create(client, namespace, Reservation, "reserves")
    over: Object = {"reason": "Terminated", "endTime": "2026-01-01T00:00:00Z"}
    for name, status in (("given-up", over), ("had-it", over | LEASE)):
        await client.patch(Instance.api(), namespace, name, {"status": status}, subresource="status")
    found = await waitlist.waiters(client, namespace)
    assert [waiter.name for waiter in found] == ["waits", "reserves"]
    assert sorted(read) == ["reserves", "waits"]
