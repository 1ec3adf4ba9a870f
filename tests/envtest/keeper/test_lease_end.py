"""A machine is brought to rest after each lease, before anybody else has it, or nobody gets it."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from berth_cli.admin.deployments.quarantine import release
from berth_core.leases import leasing

from ..operator.earlier import earlier
from ..operator.hooks import JOBS, RESET, end, exited, fail, has_ended, pod_of, reads, started, succeed
from ..operator.killing import kill
from ..operator.killing import succeed as another
from ..operator.lab import DEPLOYMENTS, INSTANCES, PODS, RELAYS, Lab, condition
from ..operator.process import Operators
from ..operator.test_silent_node import NODES
from .bench import SECRET, borrowed, lent, machine, relay, relay_name
from .process import Keepers, keep, keeper_pod
from .relay import Relay

pytestmark = pytest.mark.apiserver

SOON = {"BERTH_KEEPER_PATIENCE": "4s"}


async def logged(operators: Operators, words: str, seconds: float = 60) -> None:
    """Wait until the first operator's log has some words: a pass over waiters has no object to show an Event on."""
    async with asyncio.timeout(seconds):
        while True:
            if words in (operators.folder / "operator-0.log").read_text():
                return
            await asyncio.sleep(0.2)


async def test_power_goes_off_before_the_machine_is_lent_again(
    lab: Lab, operators: Operators, keepers: Keepers, pdu: Relay
) -> None:
    keepers.start()
    operators.start()
    await lent(lab, pdu)
    assert condition(await lab.get(DEPLOYMENTS, "one"), "SafeState") == "KeeperReady"
    await borrowed(lab, "mine")
    assert (await lab.lease("one") or {})["onEnd"] == [{"name": "power", "secret": SECRET, "do": "off"}]
    assert pdu.heard == []
    await lab.instance("next", workspaceType="bench")
    await end(lab)
    await pdu.until(lambda: pdu.heard)
    ended = await has_ended(lab, seconds=20)
    assert (pdu.heard, pdu.power, pdu.tokens) == (["off"], "off", ["Bearer hunter2"])
    assert condition(ended, "Rested") == "Done"
    await lab.until(INSTANCES, "next", lambda o: condition(o, "Bound", "status") == "True")
    assert pdu.heard == ["off"], "once for a lease"
    held = await lab.get(DEPLOYMENTS, "one")
    assert (held["status"]["settled"], condition(held, "Cleaning", "status")) == (1, "False")
    assert 'berth_keeper_attempts_total{reason="Switched"} 1.0' in await keepers.metrics()


async def test_a_relay_that_fails_is_tried_until_it_is_done_and_nobody_gets_the_machine_meanwhile(
    lab: Lab, operators: Operators, keepers: Keepers, pdu: Relay
) -> None:
    keepers.start()
    operators.start()
    await lent(lab, pdu)
    await borrowed(lab, "mine")
    pdu.status = 500
    await end(lab)
    await pdu.until(lambda: len(pdu.heard) >= 2)
    cleaning = await reads(lab, "Cleaning")
    assert "the keeper does off by power" in str(condition(cleaning, "Available", "message"))
    tried = await lab.until(RELAYS, relay_name(lab), lambda o: condition(o, "Done") == "Answered")
    assert condition(tried, "Done", "message") == "the relay answered 500"
    with pytest.raises(leasing.BusyError) as busy:
        await leasing.take(lab.client, lab.namespace, "one", instance="x", user="eve", now=datetime.now(UTC))
    assert busy.value.reason == "Cleaning"
    pdu.status = 200
    await has_ended(lab, seconds=40)
    await reads(lab, "Free")
    assert pdu.power == "off"


async def test_a_relay_that_never_does_it_puts_the_machine_in_quarantine(
    lab: Lab, operators: Operators, keepers: Keepers, pdu: Relay
) -> None:
    keepers.start()
    operators.start(**SOON)
    await lent(lab, pdu)
    uid = await borrowed(lab, "mine")
    pdu.status = 503
    await end(lab)
    ended = await has_ended(lab, seconds=40)
    assert condition(ended, "Rested") == "LeaseEndFailed"
    shut = await reads(lab, "Quarantined")
    assert condition(shut, "Quarantined") == "LeaseEndFailed"
    told = str(condition(shut, "Quarantined", "message"))
    assert f"after instance {uid} (epoch 1) the end of the lease, off by power, was not done: " in told
    assert "the last: the relay answered 503" in told
    assert "berth deployment release one" in told
    made = await relay(lab)
    assert made.spec.request is not None
    assert (made.spec.request.do, made.spec.request.end) == ("nothing", True), "nothing more is tried"
    for one in (shut, ended, made.wire()):
        assert "hunter2" not in str(one)
    assert await lab.lease("one") is None, "its lease is given back"
    tries = len(pdu.heard)
    pdu.status = 200
    await release(lab.client, "one", lab.namespace, "switched off by hand")
    await borrowed(lab, "next")
    assert (len(pdu.heard), pdu.power) == (tries, "on"), "nobody switches the next holder's machine"


async def test_without_a_keeper_nobody_gets_the_machine(
    lab: Lab, operators: Operators, keepers: Keepers, pdu: Relay
) -> None:
    operators.start()
    await lab.type()
    await lab.create(DEPLOYMENTS, "one", {"type": "bench", "machine": machine()})
    missing = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "SafeState") == "KeeperMissing", seconds=30)
    assert condition(missing, "Online") == "KeeperMissing"
    assert condition(missing, "Available") == "Offline"
    assert "set keeper.enabled" in str(condition(missing, "Available", "message"))
    with pytest.raises(leasing.BusyError):
        await leasing.take(lab.client, lab.namespace, "one", instance="x", user="eve", now=datetime.now(UTC))
    await lab.instance("mine", workspaceType="bench")
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound") == "Waiting")
    await keeper_pod(lab)
    awaited = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "SafeState") == "KeeperAwaited", seconds=20)
    assert condition(awaited, "Available") == "Offline"
    await keep(lab, SECRET, pdu.secret(f"{lab.namespace}/another"))
    keepers.start()
    refused = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "SafeState") == "SecretRefused", seconds=20)
    assert f"adds {lab.namespace}/one to its key deployments" in str(condition(refused, "Available", "message"))
    assert await lab.lease("one") is None
    await keep(lab, SECRET, pdu.secret(f"{lab.namespace}/another", f"{lab.namespace}/one"))
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True", seconds=45)


async def test_a_change_of_the_add_on_counts_from_the_next_lease_on(
    lab: Lab, operators: Operators, keepers: Keepers, pdu: Relay
) -> None:
    keepers.start()
    operators.start()
    await lent(lab, pdu)
    await borrowed(lab, "mine")
    before = await relay(lab)
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"machine": machine("cycle", "another")}})
    await end(lab)
    await has_ended(lab, seconds=20)
    assert pdu.heard == ["off"]
    away = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "SafeState") == "SecretMissing", seconds=20)
    assert condition(away, "Available") == "Offline"
    after = await relay(lab)
    assert (after.spec.secret, after.metadata.uid == before.metadata.uid) == ("another", False)
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"machine": None}})
    await lab.until_gone(RELAYS, relay_name(lab))
    await reads(lab, "Free")


async def test_a_cycle_comes_before_the_hooks_and_a_failed_one_spares_them(
    lab: Lab, operators: Operators, keepers: Keepers, pdu: Relay
) -> None:
    keepers.start()
    operators.start(**SOON)
    await lent(lab, pdu, "cycle", hooks=RESET)
    uid = await borrowed(lab, "mine")
    await end(lab)
    job = await started(lab, uid, "reset")
    assert pdu.heard == ["cycle"], "the hook finds the machine with power"
    await succeed(lab, job)
    await has_ended(lab, seconds=20)
    await reads(lab, "Free")
    pdu.status = 500
    uid = await borrowed(lab, "second")
    await end(lab, "second")
    await has_ended(lab, "second", seconds=40)
    assert condition(await reads(lab, "Quarantined"), "Quarantined") == "LeaseEndFailed"
    assert await lab.absent(JOBS, f"i-{uid}-e2-reset")


async def test_power_goes_off_after_the_hooks_also_where_one_has_failed(
    lab: Lab, operators: Operators, keepers: Keepers, pdu: Relay
) -> None:
    keepers.start()
    operators.start()
    await lent(lab, pdu, hooks=RESET)
    uid = await borrowed(lab, "mine")
    await end(lab)
    job = await started(lab, uid, "reset")
    assert pdu.heard == [], "the hook needs power"
    await exited(lab, await pod_of(lab, job), 3)
    await fail(lab, job)
    await has_ended(lab, seconds=20)
    assert (pdu.heard, pdu.power) == (["off"], "off")
    shut = await reads(lab, "Quarantined")
    assert condition(shut, "Quarantined") == "ResetFailed"
    assert "exit code 3" in str(condition(shut, "Quarantined", "message"))


async def test_an_instance_that_was_removed_by_force_leaves_no_machine_with_power(
    lab: Lab, operators: Operators, keepers: Keepers, pdu: Relay
) -> None:
    keepers.start()
    operators.start()
    await lent(lab, pdu)
    await borrowed(lab, "mine")
    pdu.status = 500
    await kill(operators)
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"metadata": {"finalizers": None}})
    await lab.client.delete(INSTANCES, lab.namespace, "mine")
    await another(lab, operators)
    await pdu.until(lambda: pdu.heard, seconds=40)
    assert await lab.lease("one") is not None
    pdu.status = 200
    await lab.until(DEPLOYMENTS, "one", lambda o: "lease" not in o["status"], seconds=40)
    assert pdu.power == "off"


async def test_a_node_that_died_keeps_the_lease_and_its_end_is_done_when_somebody_attests(
    lab: Lab, operators: Operators, keepers: Keepers, pdu: Relay
) -> None:
    keepers.start()
    operators.start()
    await lent(lab, pdu)
    pod = f"i-{await borrowed(lab, 'mine')}"
    node = f"node-{lab.namespace}"
    await lab.client.create(NODES, None, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
    binding = {"metadata": {"name": pod}, "target": {"apiVersion": "v1", "kind": "Node", "name": node}}
    await lab.client.request("POST", PODS.path(lab.namespace, pod, "binding"), body=binding)
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Ready") == "NodeLost")
    await end(lab)
    lost = await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Quarantined", "status") == "True")
    assert (condition(lost, "Quarantined"), pdu.heard) == ("NodeLost", [])
    assert await lab.lease("one") is not None
    await lab.until(PODS, pod, lambda o: o["metadata"].get("deletionTimestamp"))
    attest = {"metadata": {"annotations": {"berth.dev/released-by-force": "the machine is off"}}}
    await lab.client.patch(PODS, lab.namespace, pod, attest)
    await has_ended(lab, seconds=20)
    assert (pdu.heard, pdu.power) == (["off"], "off")
    await reads(lab, "Free")


async def test_an_operator_of_an_earlier_version_neither_lends_the_machine_nor_takes_it_back(
    lab: Lab, operators: Operators, keepers: Keepers, pdu: Relay, tmp_path: Path
) -> None:
    old = earlier(tmp_path / "earlier").environment
    operators.start(**old)
    await keeper_pod(lab)
    await keep(lab, SECRET, pdu.secret(f"{lab.namespace}/one"))
    keepers.start()
    await lab.type()
    await lab.create(DEPLOYMENTS, "one", {"type": "bench", "machine": machine()})
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free", seconds=60)
    with pytest.raises(leasing.BusyError) as busy:
        await leasing.take(lab.client, lab.namespace, "one", instance="x", user="eve", now=datetime.now(UTC))
    assert busy.value.reason == "New", "this version of the API believes the operator of this version only"
    await lab.instance("mine", workspaceType="bench")
    await logged(operators, "is taken with what its end takes (status.lease.onEnd)")
    assert await lab.lease("one") is None
    await kill(operators)
    await another(lab, operators)
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True", seconds=45)
    await kill(operators)
    await another(lab, operators, **old)
    await end(lab)
    ends = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Ended", "status") == "False", seconds=60)
    await lab.told("ReconcileFailing", "onEnd is given back by", seconds=90)
    assert (condition(ends, "Ended"), pdu.heard) == ("Terminated", [])
    assert await lab.lease("one") is not None
    await kill(operators)
    await another(lab, operators)
    await has_ended(lab, seconds=60)
    assert pdu.heard == ["off"]
