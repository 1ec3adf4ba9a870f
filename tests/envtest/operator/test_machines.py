"""A machine at an address: who has a way to it, by NetworkPolicies and rulesets, before, in and after its lease."""

import asyncio
import base64
import json
import signal
from typing import Any

import pytest

from berth_core import ids, names
from berth_core.kube.types import Kind, Object

from .killing import Happens, kill_when
from .lab import DEPLOYMENTS, INSTANCES, PODS, POLICIES, SECRETS, UNSWEPT_SECONDS, Lab, condition
from .process import Operators
from .test_build_egress import gets_to

pytestmark = pytest.mark.apiserver

JOBS = Kind("batch/v1", "jobs")
LAB = {"BERTH_MACHINE_CIDRS": "192.0.2.0/24,2001:db8:7::/64"}
ARM, ARM6, BESIDE, OUTSIDE = "192.0.2.40", "2001:db8:7::40", "192.0.2.41", "198.51.100.9"
PORT = 30002


def machine(*addresses: str, port: int = PORT) -> dict[str, Any]:
    return {"network": {"addresses": [*addresses], "ports": [{"protocol": "TCP", "port": port}]}}


ONE = machine(f"{ARM}/32", f"{ARM6}/128")


async def bound(lab: Lab, deployment: str, name: str) -> Object:
    """An instance of a deployment, bound."""
    await lab.instance(name, deployments=[deployment])
    return await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True", seconds=20)


async def ended(lab: Lab, name: str) -> None:
    await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})
    await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=20)


async def opens(lab: Lab, instance: Object, *, warm: int | None = None) -> Object:
    """The lease's own NetworkPolicy."""
    if warm is None:
        return await lab.get(POLICIES, f"i-{instance['metadata']['uid']}")
    deployment = instance["status"]["deployment"]
    return await lab.get(POLICIES, names.warm_object(ids.deployment_id(lab.namespace, deployment), warm))


async def first_ruleset(lab: Lab, pod: Object) -> str:
    """The ruleset that the agent of a pod begins with."""
    mounted = [volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume]
    (secret,) = (name for name in mounted if name.endswith("-agent"))
    data = (await lab.kept(SECRETS, secret))["data"]
    text: str = json.loads(base64.b64decode(data["initial.json"]))["ruleset"]
    return text


async def online(lab: Lab, name: str, reason: str, **more: Any) -> Object:
    return await lab.until(DEPLOYMENTS, name, lambda o: condition(o, "Online") == reason, **more)


async def test_a_lease_opens_its_own_machine_and_nothing_of_others_and_closes_it(
    lab: Lab, operators: Operators
) -> None:
    operators.start(**LAB)
    await lab.type(network={"egress": "list", "allowed": ["192.0.2.0/24"]})
    await lab.deployment("one", machine=ONE)
    await lab.deployment("two", machine=machine(f"{BESIDE}/32"))
    holder, other = await bound(lab, "one", "ada"), await bound(lab, "two", "bob")
    policy = await opens(lab, holder)
    for address in (ARM, ARM6):
        assert gets_to(policy, address, PORT)
        assert not gets_to(policy, address, PORT + 1)
    assert not gets_to(policy, BESIDE, PORT)
    assert not gets_to(await opens(lab, other), ARM, PORT)
    shared = await lab.get(POLICIES, names.type_policy("bench"))
    assert not any(gets_to(shared, address, PORT) for address in (ARM, BESIDE)), "whatever the type names"
    pod = await lab.get(PODS, f"i-{holder['metadata']['uid']}")
    ruleset = await first_ruleset(lab, pod)
    assert "192.0.2.0/24" in ruleset, "shut before the first push"
    assert ARM not in ruleset
    assert holder["status"]["machine"] == ONE
    await ended(lab, "ada")
    await lab.until_gone(POLICIES, f"i-{holder['metadata']['uid']}", seconds=UNSWEPT_SECONDS)


async def test_a_change_counts_from_the_next_lease_on(lab: Lab, operators: Operators) -> None:
    operators.start(**LAB)
    await lab.type()
    await lab.deployment("one", machine=ONE)
    holder = await bound(lab, "one", "ada")
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"machine": machine(f"{BESIDE}/32")}})
    generation = (await lab.kept(DEPLOYMENTS, "one"))["metadata"]["generation"]
    await lab.until(DEPLOYMENTS, "one", lambda o: o["status"]["observedGeneration"] == generation)
    policy = await opens(lab, holder)
    assert (gets_to(policy, ARM, PORT), gets_to(policy, BESIDE, PORT)) == (True, False)
    assert (await lab.kept(INSTANCES, "ada"))["status"]["machine"] == ONE
    await ended(lab, "ada")
    policy = await opens(lab, await bound(lab, "one", "bob"))
    assert (gets_to(policy, ARM, PORT), gets_to(policy, BESIDE, PORT)) == (False, True)


async def test_a_warm_pod_is_shut_until_its_lease_and_made_anew_for_another_machine(
    lab: Lab, operators: Operators
) -> None:
    operators.start(**LAB)
    await lab.type(warm=True)
    await lab.deployment("one", machine=ONE)
    name = names.warm_object(ids.deployment_id(lab.namespace, "one"), 1)
    pod = await lab.until(PODS, name, bool, seconds=20)
    assert ARM not in await first_ruleset(lab, pod)
    assert await lab.absent(POLICIES, name), "nobody has it: that of the type holds it"
    changed = machine(f"{BESIDE}/32")
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"machine": changed}})
    await lab.until(PODS, name, lambda o: o["metadata"]["uid"] != pod["metadata"]["uid"], seconds=20)
    holder = await bound(lab, "one", "ada")
    policy = await opens(lab, holder, warm=1 if holder["status"].get("warm") else None)
    assert holder["status"].get("warm"), "the pod that was kept warm"
    assert (gets_to(policy, ARM, PORT), gets_to(policy, BESIDE, PORT)) == (False, True)
    await ended(lab, "ada")
    await lab.until_gone(POLICIES, name, seconds=UNSWEPT_SECONDS)


async def test_hooks_of_the_lease_reach_the_machine_and_users_do_not_reach_them(lab: Lab, operators: Operators) -> None:
    operators.start(**LAB)
    command = {"command": ["true"], "timeout": 600}
    await lab.type(hooks={"reset": command})
    await lab.deployment("one", machine=ONE)
    holder = await bound(lab, "one", "ada")
    uid = holder["metadata"]["uid"]
    await lab.client.patch(INSTANCES, lab.namespace, "ada", {"spec": {"terminate": True}})
    job = await lab.until(JOBS, f"i-{uid}-e1-reset", bool, seconds=20)
    policy = await opens(lab, holder)
    assert gets_to(policy, ARM, PORT)
    assert not gets_to(policy, BESIDE, PORT)
    chosen, labels = policy["spec"]["podSelector"]["matchLabels"], job["spec"]["template"]["metadata"]["labels"]
    assert chosen.items() <= labels.items()


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        ([f"{OUTSIDE}/32"], "OutsideMachineNetworks"),
        (["192.0.2.130/32"], "OutOfReach"),
        (["64:ff9b::c000:228/128"], "OutOfReach"),
    ],
)
async def test_an_address_that_may_not_be_lent_is_offline_with_the_reason_until_it_is_corrected(
    lab: Lab, operators: Operators, addresses: list[str], reason: str
) -> None:
    operators.start(**LAB, BERTH_BLOCKED_CIDRS="192.0.2.128/25")
    await lab.type()
    await lab.create(DEPLOYMENTS, "one", {"type": "bench", "machine": machine(*addresses)})
    shown = await online(lab, "one", reason, seconds=20)
    assert addresses[0] in str(condition(shown, "Online", "message"))
    assert condition(shown, "Available") == "Offline"
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"machine": ONE}})
    await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free")


async def test_of_two_with_one_endpoint_one_is_lent_and_a_lease_keeps_it_from_the_other(
    lab: Lab, operators: Operators
) -> None:
    operators.start(**LAB)
    await lab.type()
    await lab.deployment("one", machine=ONE)
    await lab.deployment("two", machine=machine(f"{ARM}/32", port=22))
    holder = await bound(lab, "one", "ada")
    # Its lease goes on with the endpoints that it was bound to; another deployment takes them over meanwhile.
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"machine": machine(f"{BESIDE}/32")}})
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "two", {"spec": {"machine": ONE}})
    taken = await online(lab, "two", "EndpointInUse")
    assert f"{lab.namespace}/one" in str(condition(taken, "Online", "message"))
    assert gets_to(await opens(lab, holder), ARM, PORT)
    await ended(lab, "ada")
    await lab.until(DEPLOYMENTS, "two", lambda o: condition(o, "Available") == "Free")
    await lab.client.patch(DEPLOYMENTS, lab.namespace, "one", {"spec": {"machine": ONE}})
    taken = await online(lab, "one", "EndpointInUse")
    assert "it named them first" in str(condition(taken, "Online", "message")), "though it is the younger one"
    assert taken["status"]["endpoints"]["addresses"] == [f"{BESIDE}/32"], "it keeps what it had while it is in use"


async def test_a_bind_of_a_former_leader_that_lands_late_opens_nothing(lab: Lab, operators: Operators) -> None:
    first = operators.start(**LAB)
    await lab.type()
    await lab.deployment("one", machine=ONE)
    await lab.deployment("two", machine=machine(f"{BESIDE}/32"))
    holder = await bound(lab, "one", "ada")
    first.send_signal(signal.SIGTERM)
    await asyncio.to_thread(first.wait, 60)
    # As if that leader had read "two" while it named the endpoints of "one", and its write had come only now.
    late = await lab.claimed("two")
    told = {"id": late, "deployment": "two", "epoch": 1, "nonce": "0a1b2c3d", "machine": ONE}
    await lab.status_patch(INSTANCES, late, told)
    await lab.status_patch(INSTANCES, "ada", {"firewall": {"generation": 1, "digest": "of a push"}})
    operators.start(**LAB)
    over = await lab.until(INSTANCES, late, lambda o: condition(o, "Ended", "status") == "True", seconds=30)
    assert over["status"]["reason"] == "StartFailed"
    assert f"{lab.namespace}/one" in over["status"]["message"]
    assert await lab.absent(PODS, f"i-{late}")
    assert await lab.absent(POLICIES, f"i-{late}")
    assert "reason" not in (await lab.kept(INSTANCES, "ada"))["status"]
    assert gets_to(await opens(lab, holder), ARM, PORT)


OPENING: list[tuple[Kind, Happens]] = [
    (POLICIES, lambda event, o: event == "ADDED" and gets_to(o, ARM, PORT)),
    (INSTANCES, lambda _, o: "machine" in (o.get("status") or {})),
]
CLOSING: list[tuple[Kind, Happens]] = [
    (INSTANCES, lambda _, o: "reason" in (o.get("status") or {})),
    (POLICIES, lambda event, o: event == "DELETED" and gets_to(o, ARM, PORT)),
]
"""Writes of a lease that concern its machine."""


@pytest.mark.release(twin="tests/sim/test_histories.py")
@pytest.mark.parametrize("warm", [True, False])
async def test_a_machine_is_opened_and_closed_after_a_kill_at_any_of_its_writes(
    lab: Lab, operators: Operators, warm: bool
) -> None:
    operators.start(**LAB)
    await lab.type(warm=warm)
    await lab.deployment("one", machine=ONE)
    for epoch, (opening, closing) in enumerate(zip(OPENING, CLOSING, strict=True), start=1):
        name, (kind, happens) = f"ada-{epoch}", opening
        if warm:
            await lab.until(PODS, names.warm_object(ids.deployment_id(lab.namespace, "one"), epoch), bool, seconds=20)
        await kill_when(lab, operators, kind, happens, lab.instance(name, deployments=["one"]), **LAB)
        holder = await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True", seconds=20)
        assert (holder["status"]["machine"], bool(holder["status"].get("warm"))) == (ONE, warm)
        assert gets_to(await opens(lab, holder, warm=epoch if warm else None), ARM, PORT)
        ending = lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"terminate": True}})
        kind, happens = closing
        await kill_when(lab, operators, kind, happens, ending, **LAB)
        await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True", seconds=20)
        policies, _ = await lab.client.list(POLICIES, lab.namespace)
        assert [one["metadata"]["name"] for one in policies if gets_to(one, ARM, PORT)] == []
        await lab.until(DEPLOYMENTS, "one", lambda o: condition(o, "Available") == "Free", seconds=20)
