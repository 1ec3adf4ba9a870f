"""A rule that is deleted while the operator reads the rules does not stay in force."""

import asyncio
import time

import pytest
from aiohttp import web

from ..cluster.operator_process.lab import INSTANCES, RULES
from .proxy import Fault, LateAnswer
from .scenarios import held
from .stage import Stage

pytestmark = pytest.mark.apiserver

LATE = 1.0
HOME_ACCEPTED = "ip saddr 198.51.100.7 accept"


async def test_a_rule_that_goes_while_the_rules_are_read_goes_out_of_force(stage: Stage) -> None:
    asked = asyncio.Event()

    def late_lists(request: web.Request, sort: str) -> Fault | None:
        if sort != "read" or not request.path.endswith("/firewallrules") or "fieldSelector" not in request.query:
            return None
        asked.set()
        return LateAnswer(LATE)

    operator = await stage.start()
    await stage.leads(operator)
    await held(stage)
    assert HOME_ACCEPTED in stage.machine.in_force()["table"]
    uid = (await stage.lab.get(INSTANCES, "mine"))["metadata"]["uid"]
    await stage.settled(operator)
    operator.proxy.faults = late_lists
    await stage.lab.create(RULES, "second", {"instance": uid, "order": 1, "source": "203.0.113.0/24", "action": "DROP"})
    await asyncio.wait_for(asked.wait(), 10)
    # The answer, with both rules, is on the way: the news that one is gone overtakes it.
    await asyncio.sleep(LATE / 3)
    await stage.lab.client.delete(RULES, stage.lab.namespace, "mine-0")
    deadline = time.monotonic() + 10
    while HOME_ACCEPTED in (table := stage.machine.in_force()["table"]) or "203.0.113.0/24" not in table:
        assert time.monotonic() < deadline, "a deleted rule stays in force"
        await asyncio.sleep(0.05)
