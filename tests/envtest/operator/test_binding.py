"""From an Instance to a lease with everything that it opens."""

import pytest
from forked import Process

from berth_core import names

from .lab import DEPLOYMENTS, INSTANCES, PODS, POLICIES, RULES, SECRETS, SERVICES, Lab, condition, mounted

pytestmark = [pytest.mark.apiserver, pytest.mark.usefixtures("operator")]


async def test_a_claimed_instance_is_bound_with_everything_that_its_lease_opens(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("one")
    name = await lab.claimed("one", requesterAddress="198.51.100.7")
    bound = await lab.until(INSTANCES, name, lambda o: condition(o, "Bound", "status") == "True")
    assert bound["metadata"]["finalizers"] == ["berth.dev/fence"]
    assert bound["status"]["id"] == name
    assert (bound["status"]["deployment"], bound["status"]["epoch"]) == ("one", 1)
    assert bound["status"]["hostKeys"][0].startswith("ssh-ed25519 ")
    pod = await lab.until(PODS, f"i-{name}", bool)
    assert pod["metadata"]["finalizers"] == ["berth.dev/fence"]
    assert pod["metadata"]["labels"]["berth.dev/epoch"] == "1"
    assert (await lab.get(SERVICES, f"i-{name}"))["spec"]["externalTrafficPolicy"] == "Local"
    workspace = f"i-{name}-e1-{bound['status']['nonce']}"
    assert sorted(mounted(pod)) == [workspace, f"{workspace}-agent"]
    for secret in mounted(pod):
        assert (await lab.kept(SECRETS, secret))["immutable"] is True
    rule = await lab.get(RULES, f"{name}-0")
    assert (rule["spec"]["source"], rule["spec"]["action"]) == ("198.51.100.7/32", "ACCEPT")
    assert rule["metadata"]["ownerReferences"][0]["name"] == name
    assert pod["metadata"]["labels"].items() >= names.type_labels("bench").items()
    assert await lab.get(POLICIES, names.type_policy("bench")), "the NetworkPolicy of its type holds it"
    assert await lab.absent(POLICIES, f"i-{name}")


async def test_an_instance_made_with_kubectl_gets_the_best_free_deployment(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("aged", typeVersion=1)
    await lab.deployment("fresh", typeVersion=2)
    await lab.instance("mine", workspaceType="bench")
    bound = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True")
    assert bound["status"]["deployment"] == "fresh"
    held = await lab.lease("fresh")
    assert held is not None
    assert held["instance"] == bound["metadata"]["uid"] == bound["status"]["id"]
    assert await lab.lease("aged") is None


async def test_those_that_wait_are_served_in_the_order_of_their_age(lab: Lab) -> None:
    await lab.type()
    await lab.deployment("one")
    await lab.instance("holder", workspaceType="bench")
    await lab.until(INSTANCES, "holder", lambda o: condition(o, "Bound", "status") == "True")
    order = ["second", "third"]
    for name in order:
        await lab.instance(name, workspaceType="bench")
        waits = await lab.until(INSTANCES, name, lambda o: condition(o, "Bound") == "Waiting")
        assert "none is free of one" in str(condition(waits, "Bound", "message"))
    for ends, follows in (("holder", "second"), ("second", "third")):
        await lab.client.patch(INSTANCES, lab.namespace, ends, {"spec": {"terminate": True}})
        await lab.until(INSTANCES, ends, lambda o: condition(o, "Ended", "status") == "True")
        await lab.until(INSTANCES, follows, lambda o: condition(o, "Bound", "status") == "True")
    ended = await lab.get(DEPLOYMENTS, "one")
    assert ended["status"]["epoch"] == 3
    assert ended["status"]["instances"] == 0, "none of them was ever ready"


@pytest.mark.parametrize("claim", [{"deployment": "one", "epoch": 7}, {"deployment": "absent", "epoch": 1}])
async def test_a_claim_that_is_not_the_live_lease_ends_as_claim_lost(lab: Lab, claim: dict[str, object]) -> None:
    await lab.type()
    await lab.deployment("one")
    name = await lab.instance(workspaceType="bench", claim=claim)
    lost = await lab.until(INSTANCES, name, lambda o: condition(o, "Ended", "status") == "True")
    assert lost["status"]["reason"] == "ClaimLost"
    assert await lab.absent(PODS, f"i-{name}")
    assert await lab.lease("one") is None


async def test_a_rule_made_with_kubectl_gets_the_instance_as_owner_only_where_it_is_its_own(
    lab: Lab, operator: Process
) -> None:
    await lab.type()
    await lab.deployment("one")
    await lab.instance("mine", workspaceType="bench", requesterAddress="2001:db8::7")
    bound = await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True")
    rule = await lab.get(RULES, "mine-0")
    assert rule["spec"]["source"] == "2001:db8::7/128"
    assert rule["spec"]["instance"] == bound["metadata"]["uid"]
    assert operator.poll() is None
