"""The keeper and outlets that are switched by SNMP."""

import json
from collections.abc import AsyncIterator

import pytest

from ..operator.lab import RELAYS, Lab, condition
from .agent import AUTH_KEY, COMMUNITY, OID, PRIV_KEY, Agent, agent
from .bench import SECRET
from .process import Keepers, keep
from .test_process import ask, done, kept, usable

pytestmark = pytest.mark.apiserver


@pytest.fixture
async def outlet() -> AsyncIterator[Agent]:
    """An outlet."""
    async with agent() as made:
        yield made


async def test_it_writes_the_number_and_reads_the_state(lab: Lab, keepers: Keepers, outlet: Agent) -> None:
    keepers.start()
    await keep(lab, SECRET, outlet.secret(f"{lab.namespace}/one"))
    await kept(lab, do="off")
    await usable(lab, "Usable")
    obj = await done(lab, await ask(lab, "off"), "Switched")
    assert condition(obj, "Done", "message") == "the relay says that power is off"
    await done(lab, await ask(lab, "cycle", end=False), "Switched")
    assert outlet.heard == [2, 3]


async def test_a_community_works_where_the_secret_says_plain(lab: Lab, keepers: Keepers, outlet: Agent) -> None:
    keepers.start()
    session = {"community": COMMUNITY}
    await keep(lab, SECRET, outlet.secret(f"{lab.namespace}/one", session=session))
    await kept(lab, do="off")
    assert "use SNMPv3" in await usable(lab, "SecretUnusable")
    await keep(lab, SECRET, outlet.secret(f"{lab.namespace}/one", session=session, plain="true"))
    await usable(lab, "Usable")
    await done(lab, await ask(lab, "off"), "Switched")
    assert outlet.heard == [2]


async def test_wrong_keys_and_wrong_objects_are_failures_that_are_tried_again(
    lab: Lab, keepers: Keepers, outlet: Agent
) -> None:
    keepers.start()
    wrong = {"user": "berth", "authKey": "hunter2-wrong", "privKey": PRIV_KEY}
    await keep(lab, SECRET, outlet.secret(f"{lab.namespace}/one", session=wrong))
    await kept(lab)
    number = await ask(lab, "off")
    obj = await lab.until(RELAYS, "one", lambda o: condition(o, "Done") in ("SnmpFailed", "TimedOut"), seconds=40)
    assert "hunter2" not in str(obj)
    assert outlet.heard == []
    elsewhere = json.dumps({"oid": f"{OID}.1", "on": 1, "off": 2})
    await keep(lab, SECRET, outlet.secret(f"{lab.namespace}/one", state=elsewhere))
    await done(lab, number, "StateDiffers")
    await keep(lab, SECRET, outlet.secret(f"{lab.namespace}/one"))
    obj = await done(lab, number, "Switched")
    assert AUTH_KEY not in str(obj)


async def test_an_agent_that_does_not_answer_is_told_apart(lab: Lab, keepers: Keepers, outlet: Agent) -> None:
    keepers.start()
    quiet = Agent(outlet.host, 9)
    await keep(lab, SECRET, quiet.secret(f"{lab.namespace}/one"))
    await kept(lab)
    number = await ask(lab, "off")
    await done(lab, number, "TimedOut")
    await keep(lab, SECRET, outlet.secret(f"{lab.namespace}/one"))
    await done(lab, number, "Switched")
