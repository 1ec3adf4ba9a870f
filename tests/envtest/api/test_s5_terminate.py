"""Contract §5, POST /terminate. The tests write the operator's part."""

import httpx
import pytest

from .conftest import made
from .world import World

pytestmark = pytest.mark.apiserver

END = "2026-01-01T00:30:00Z"


async def test_one_that_starts_can_be_ended(world: World, alice: httpx.AsyncClient) -> None:
    instance = await made(alice, await world.type(deployments=1))
    assert (await alice.get(f"/instance/{instance}")).json()["status"] == "INIT"
    ended = await alice.post(f"/terminate/{instance}")
    assert (ended.status_code, ended.content) == (200, b"")
    assert (await alice.get(f"/instance/{instance}")).json()["status"] == "TERMINATING"


async def test_terminating_again_says_the_state(world: World, alice: httpx.AsyncClient) -> None:
    kind = await world.type(deployments=2)
    instance, failed = await made(alice, kind), await made(alice, kind)
    await world.as_operator(failed, reason="StartFailed", message="the image cannot be pulled")
    await alice.post(f"/terminate/{instance}")
    for ended, word in ((instance, "TERMINATING"), (failed, "INIT_FAIL")):
        answer = await alice.post(f"/terminate/{ended}")
        assert answer.status_code == 400
        assert word in answer.json()["error_message"]
    await world.as_operator(instance, reason="Terminated", endTime=END, conditions={"Ended": "True"})
    assert "TERMINATED" in (await alice.post(f"/terminate/{instance}")).json()["error_message"]
    shown = (await alice.get(f"/instance/{failed}")).json()
    assert (shown["status"], shown["message"]) == ("INIT_FAIL", "the image cannot be pulled")
