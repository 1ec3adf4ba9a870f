"""A rule that is deleted while the operator reads the rules does not stay in force."""

import asyncio

import pytest
from aiohttp import web

from ..envtest.operator.lab import INSTANCES, RULES, condition
from .proxy import Fault, LateAnswer
from .scenarios import HOME, held
from .stage import Stage
from .waiting import until

pytestmark = [pytest.mark.apiserver, pytest.mark.release(twin="tests/envtest/operator/test_relist.py")]

LATE = 1.0
OFFICE = "203.0.113.9"


async def test_a_rule_that_goes_while_the_rules_are_read_goes_out_of_force(stage: Stage) -> None:
    answered = asyncio.Event()

    def late_list(request: web.Request, sort: str) -> Fault | None:
        is_list_of_rules = sort == "read" and request.path.endswith("/firewallrules")
        return LateAnswer(LATE, answered) if is_list_of_rules and not answered.is_set() else None

    def is_accepted(source: str) -> bool:
        return source in stage.machine.in_force()["table"]  # all rules are ACCEPTs

    operator = await stage.start()
    await stage.leads(operator)
    await held(stage)
    uid = (await stage.lab.get(INSTANCES, "mine"))["metadata"]["uid"]
    await stage.lab.create(RULES, "office", {"instance": uid, "order": 1, "source": f"{OFFICE}/32", "action": "ACCEPT"})
    await stage.lab.until(RULES, "office", lambda rule: condition(rule, "InForce", "status") == "True")
    await stage.settled(operator)
    assert is_accepted(HOME)
    assert is_accepted(OFFICE)
    operator.proxy.faults = late_list
    await stage.lab.client.delete(RULES, stage.lab.namespace, "office")
    await asyncio.wait_for(answered.wait(), 10)
    # The answer, with the other rule, is on its way: the news that this one is gone too overtakes it. Nothing is
    # written to any rule after that, so no later event makes good what is missed now.
    await stage.lab.client.delete(RULES, stage.lab.namespace, "mine-0")
    await until(lambda: not is_accepted(OFFICE), "the rule that was deleted first is out of force", 10)
    await until(lambda: not is_accepted(HOME), "the rule that was deleted meanwhile is out of force", 10)
