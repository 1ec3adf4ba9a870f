"""Findings of `berth machine check`, and what `berth machine show` prints."""

from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import pytest

from berth_cli.admin.doctor.facts import Unseen
from berth_cli.admin.doctor.findings import Finding, Level
from berth_cli.admin.machines import card, checks, openings
from berth_cli.admin.machines.facts import Facts, Lent, claimants, grounds_of
from berth_core import ids, names
from berth_core.firewall import Egress, OperatorPods, PolicyRequest, network_policy, parse_source
from berth_core.machines.sharing import Claimant
from berth_core.resources import Instance, WorkspaceDeployment, WorkspaceType

WHERE, NAME, WHEN = "lab", "arm-1", "2026-05-01T12:00:00Z"
ID, OTHER = ids.uuid7(1), ids.uuid7(2)
ARM = {"network": {"addresses": ["192.0.2.40/32"], "ports": [{"protocol": "TCP", "port": 30002}]}}
MACHINES = "192.0.2.0/24,2001:db8:7::/64"
GROUNDS = grounds_of(
    {"BERTH_MACHINE_CIDRS": MACHINES, "BERTH_RESOLVERS": "192.0.2.53", "BERTH_BLOCKED_CIDRS": "192.0.2.64/26"}
)
HOLDS = {"instance": ID, "user": "ada", "claimedAt": WHEN}
WALL = network_policy(
    PolicyRequest(
        name="berth-type-arm",
        namespace=WHERE,
        labels={},
        selector={},
        rules=(),
        operator=OperatorPods("berth"),
        egress=Egress(public=True, networks=(ip_network("192.0.0.0/16"),), blocked=GROUNDS.machines),
        dns=[{"ipBlock": {"cidr": "192.0.2.53/32"}}],
    )
)
"""The NetworkPolicy of a type that names a network around the machines'."""


def told(kind: str, status: str, reason: str, message: str = "a message") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": WHEN}


WELL = [told("Online", "True", "Answers"), told("Reachable", "True", "Answers"), told("Walled", "True", "TwoWalls")]


def deployment(name: str = NAME, machine: Any = ARM, created: str = WHEN, **status: Any) -> WorkspaceDeployment:
    metadata = {"name": name, "namespace": WHERE, "uid": f"uid of {name}", "creationTimestamp": created}
    spec = {"type": "arm", "machine": machine, "health": {"tcp": 30002}}
    return WorkspaceDeployment.parse({"metadata": metadata, "spec": spec, "status": {"conditions": WELL} | status})


def instance(of: str = NAME, ready: str = "True", name: str = ID, machine: Any = ARM, **status: Any) -> Instance:
    shown = {"deployment": of, "epoch": 3, "machine": machine, "conditions": [told("Ready", ready, "Ready")]}
    metadata = {"name": name, "namespace": WHERE, "uid": f"uid of {name}"}
    return Instance.parse({"metadata": metadata, "spec": {"user": "ada"}, "status": shown | status})


def policy(*more: dict[str, Any], machine: Any = ARM, epoch: int = 3) -> dict[str, Any]:
    """The NetworkPolicy of the lease, as the operator writes it, with more entries."""
    reached = deployment(machine=machine).network
    request = PolicyRequest(
        name=names.instance_object(ID),
        namespace=WHERE,
        labels=names.lease_labels(ID, epoch, NAME),
        selector={},
        rules=(),
        operator=OperatorPods("berth"),
        machines=GROUNDS.around(reached),
    )
    manifest = network_policy(request)
    manifest["spec"]["egress"] += more
    return manifest


def kind(*conditions: dict[str, Any]) -> WorkspaceType:
    spec = {"typeName": "arm", "template": {"image": "example.test/arm:1"}}
    metadata = {"name": "arm", "namespace": WHERE}
    return WorkspaceType.parse({"metadata": metadata, "spec": spec, "status": {"conditions": list(conditions)}})


def well(**changes: Any) -> Facts:
    """A machine that nobody has, with nothing wrong."""
    facts = Facts(
        lent=Lent(deployment(), None),
        type=kind(told("NetworkPolicyEnforced", "True", "ProbeBlocked")),
        grounds=GROUNDS,
        others=[],
        policies=[WALL],
        cluster=[parse_source("198.18.0.11"), parse_source("10.244.1.0/24")],
    )
    return replace(facts, **changes)


def lent(*policies: dict[str, Any], ready: str = "True", **changes: Any) -> Facts:
    """A machine that ada has, with policies besides the type's."""
    both = Lent(deployment(lease=HOLDS, epoch=3), instance(ready=ready))
    return well(lent=both, policies=[WALL, *policies], **changes)


def ill(facts: Facts) -> list[Finding]:
    return [one for one in checks.findings(facts) if one.level not in (Level.OK, Level.OPEN)]


def only(facts: Facts) -> Finding:
    (found,) = ill(facts)
    assert found.mend, "each fault says how to mend it"
    return found


@pytest.mark.parametrize("facts", [well(), lent(policy())], ids=["free", "lent"])
def test_nothing_is_wrong(facts: Facts) -> None:
    assert ill(facts) == []
    assert {one.level for one in checks.findings(facts)} == {Level.OK, Level.OPEN}


def test_what_berth_does_not_hold_is_named_with_the_rule_of_a_router() -> None:
    left = [one for one in checks.findings(well()) if one.level is Level.OPEN]
    assert [one.check for one in left] == ["pods of others", "pods with hostNetwork", "nodes", "hosts of the lab"]
    assert all("192.0.2.40/32" in one.says for one in left)
    rule = "ip daddr { 192.0.2.40/32 } ip saddr != { 10.244.1.0/24, 198.18.0.11/32 } drop"
    assert left[-1].mend.endswith(rule)
    unknown = [one for one in checks.findings(well(cluster=Unseen("forbidden"))) if one.level is Level.OPEN]
    assert "nft" not in unknown[-1].mend


def test_a_rule_of_a_router_names_each_ip_version_by_its_own_addresses() -> None:
    machine = [parse_source("192.0.2.40"), parse_source("2001:db8:7::40")]
    four, six = openings.router_rules(machine, [parse_source("10.0.0.1"), parse_source("2001:db8::1")])
    assert four.endswith("ip daddr { 192.0.2.40/32 } ip saddr != { 10.0.0.1/32 } drop")
    assert six.endswith("ip6 daddr { 2001:db8:7::40/128 } ip6 saddr != { 2001:db8::1/128 } drop")


@pytest.mark.parametrize("where", ["198.51.100.9/32", "192.0.2.65/32"])
def test_an_address_that_may_not_be_lent_is_a_broken_promise(where: str) -> None:
    elsewhere = deployment(machine={"network": {"addresses": [where]}})
    found = only(well(lent=Lent(elsewhere, None)))
    assert (found.check, found.level) == ("addresses", Level.FAILED)


def test_an_address_that_only_the_operator_knows_as_the_clusters_own_is_one_too() -> None:
    online = [told("Online", "False", "OutOfReach", "192.0.2.40/32 is a node's"), *WELL[1:]]
    found = only(well(lent=Lent(deployment(conditions=online), None)))
    assert (found.level, found.says) == (Level.FAILED, "192.0.2.40/32 is a node's")


def test_a_deployment_without_an_address_is_told_so_and_nothing_of_it_is_called_walled() -> None:
    found = only(well(lent=Lent(deployment(machine=None), None)))
    assert (found.check, found.level) == ("addresses", Level.WARNING)
    assert "lease's NetworkPolicy" not in {
        one.check for one in checks.findings(well(lent=Lent(deployment(machine=None), None)))
    }


def test_of_two_deployments_with_one_endpoint_the_younger_is_not_lent() -> None:
    mine = deployment().network
    assert mine is not None
    other = Claimant(WHERE, "arm-2", "another", "2020-01-01T00:00:00Z", named=mine.reached())
    older = only(well(others=[other]))
    assert (older.check, older.level, "lab/arm-2" in older.says) == ("other deployments", Level.FAILED, True)
    younger = only(well(others=[replace(other, created="2030-01-01T00:00:00Z")]))
    assert (younger.level, "lab/arm-2" in younger.says) == (Level.WARNING, True)


def test_two_leases_with_one_endpoint_are_a_broken_promise() -> None:
    mine = deployment().network
    assert mine is not None
    held = Claimant(WHERE, "arm-2", "another", WHEN, held=mine.reached())
    assert "berth release" in only(lent(policy(), others=[held])).mend
    assert only(well(others=[held])).level is Level.FAILED


def test_a_lease_that_runs_without_its_policy_is_a_broken_promise() -> None:
    found = only(lent())
    assert (found.check, found.level) == ("lease's NetworkPolicy", Level.FAILED)
    assert only(lent(ready="False")).level is Level.UNKNOWN


def test_a_warm_pods_policy_is_that_of_its_lease() -> None:
    warm = policy()
    warm["metadata"]["name"] = names.warm_object(deployment().public_id, 3)
    assert ill(lent(warm)) == []


def test_a_policy_names_exactly_the_endpoints_of_its_lease() -> None:
    beside = {"to": [{"ipBlock": {"cidr": "192.0.2.41/32"}}]}
    assert "192.0.2.41/32" in only(lent(policy(beside))).says
    around = {"to": [{"ipBlock": {"cidr": "192.0.0.0/16", "except": ["192.0.2.0/25"]}}]}
    assert only(lent(policy(around))).level is Level.FAILED
    assert only(lent(policy({"ports": [{"port": 443}]}))).level is Level.FAILED, "no peers mean everybody"
    harmless = {"to": [{"ipBlock": {"cidr": "192.0.0.0/16", "except": ["192.0.2.0/24"]}}]}
    dns = {"to": [{"ipBlock": {"cidr": "192.0.2.53/32"}}], "ports": [{"protocol": "UDP", "port": 53}]}
    pods = {"to": [{"podSelector": {"matchLabels": {"a": "b"}}}]}
    assert ill(lent(policy(harmless, dns, pods))) == []
    wider = {"network": {"addresses": ["192.0.2.40/32"]}}
    found = only(lent(policy(machine=wider)))
    assert (found.check, found.level) == ("lease's NetworkPolicy", Level.FAILED)
    missing = policy()
    missing["spec"]["egress"] = []
    assert "does not open" in only(lent(missing)).says


def test_a_fault_names_the_addresses_of_machines_alone() -> None:
    everything = {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["192.0.2.128/25"]}}], "ports": [{"port": 1}]}
    assert "opens 192.0.2.0/25 TCP 1 besides" in only(lent(policy(everything))).says
    many = [{"ipBlock": {"cidr": f"192.0.2.{last}/32"}} for last in range(100, 120)]
    assert only(lent(policy({"to": many}))).says.count("192.0.2.") == openings.SHOWN


@pytest.mark.parametrize(
    "entry",
    [
        {},
        {"to": [{"ipBlock": {"cidr": "192.0.2.0/24"}}]},
        {"to": [{"ipBlock": {"cidr": "192.0.2.40/32"}}], "ports": [{"port": 30000, "endPort": 30005}]},
        {"to": [{"ipBlock": {"cidr": "192.0.2.40/32"}}], "ports": [{"protocol": "TCP"}]},
        {"to": [{"ipBlock": {"cidr": "192.0.2.40/32"}}], "ports": [{"port": "robot"}]},
    ],
)
def test_another_policy_that_opens_the_machine_is_a_broken_promise(entry: dict[str, Any]) -> None:
    other = {"metadata": {"name": "open", "namespace": WHERE}, "spec": {"egress": [entry]}}
    for facts in (well(policies=[WALL, other]), lent(policy(), other)):
        found = only(facts)
        assert (found.check, found.level, "-n lab open" in found.says) == ("other NetworkPolicies", Level.FAILED, True)


def test_another_policy_may_open_other_ports_and_addresses() -> None:
    entries = [
        {"to": [{"ipBlock": {"cidr": "192.0.2.41/32"}}]},
        {
            "to": [{"ipBlock": {"cidr": "192.0.2.40/32"}}],
            "ports": [{"port": 30003}, {"protocol": "UDP", "port": 30002}],
        },
    ]
    other = {"metadata": {"name": "open", "namespace": WHERE}, "spec": {"egress": entries}}
    assert ill(well(policies=[WALL, other, {"metadata": {"name": "in", "namespace": WHERE}, "spec": {}}])) == []


def test_a_policy_of_an_earlier_lease_opens_the_machine_no_more() -> None:
    earlier = policy(epoch=2)
    earlier["metadata"]["name"] = "i-earlier"
    assert only(lent(policy(), earlier)).check == "other NetworkPolicies"
    assert only(well(policies=[WALL, policy()])).check == "other NetworkPolicies", "nobody has it"


def test_a_change_of_the_spec_leaves_a_lease_its_own_endpoints() -> None:
    moved = {"network": {"addresses": ["192.0.2.50/32"]}}
    facts = lent(policy())
    facts = replace(facts, lent=Lent(deployment(machine=moved, lease=HOLDS, epoch=3), facts.lent.instance))
    assert ill(facts) == []
    assert card.leased(facts.lent) == "192.0.2.40/32 TCP 30002"


def test_walls_that_do_not_stand_are_named() -> None:
    unenforced = kind(told("NetworkPolicyEnforced", "False", "ProbeCameThrough", "a probe got through"))
    assert (only(well(type=unenforced)).level, only(well(type=unenforced)).says) == (
        Level.FAILED,
        "a probe got through",
    )
    assert only(well(type=None)).level is Level.FAILED
    one_wall = [*WELL[:2], told("Walled", "False", "OneWall")]
    assert only(well(lent=Lent(deployment(conditions=one_wall), None))).level is Level.WARNING
    assert only(well(lent=Lent(deployment(conditions=WELL[:2]), None))).level is Level.UNKNOWN


def test_a_machine_that_does_not_answer_or_is_not_asked_is_named() -> None:
    silent = [told("Reachable", "False", "NoAnswer", "tcp: refused"), *WELL[2:]]
    assert only(well(lent=Lent(deployment(conditions=silent), None))).says == "NoAnswer: tcp: refused"
    assert only(well(lent=Lent(deployment(conditions=WELL[2:]), None))).level is Level.UNKNOWN
    wd = deployment()
    unasked = wd.model_copy(update={"spec": wd.spec.model_copy(update={"health": None})})
    assert "spec.health" in only(well(lent=Lent(unasked, None))).mend


def test_what_may_not_be_read_is_unknown() -> None:
    nobody = Unseen("forbidden")
    for facts in (well(), lent(policy())):
        unseen = replace(facts, type=nobody, grounds=nobody, others=nobody, policies=nobody, cluster=nobody)
        assert {one.level for one in ill(unseen)} == {Level.UNKNOWN}


def test_a_holder_that_may_not_be_read_is_not_taken_for_nobody() -> None:
    held = Lent(deployment(lease=HOLDS, epoch=3), None)
    found = {one.check: one for one in ill(well(lent=held))}
    assert found["lease's NetworkPolicy"].level is Level.UNKNOWN


def test_claimants_are_other_deployments_and_leases_that_run() -> None:
    me, other = deployment(lease=HOLDS, epoch=3), deployment("arm-2", lease=HOLDS | {"instance": OTHER}, epoch=3)
    gone = instance("arm-9", name="i-9")
    found = list(claimants(me, [me, other], [instance(), instance("arm-2", name=OTHER), gone]))
    assert [(one.name, one.named is not None, one.held is not None) for one in found] == [
        ("arm-2", True, False),
        ("arm-2", False, True),
        ("arm-9", False, True),
    ]
    ended = instance("arm-2", name=OTHER, endTime=WHEN)
    free = deployment("arm-3", machine=None)
    assert list(claimants(me, [me, free], [ended, instance("arm-3", name="late")])) == []


def test_a_card_shows_the_conditions_of_the_machine_with_their_next_steps() -> None:
    entries = [*WELL[1:], told("Online", "False", "EndpointInUse"), told("Available", "False", "Offline")]
    shown = Lent(deployment(conditions=entries, lease=HOLDS, epoch=3), instance())
    assert card.endpoints(shown) == "192.0.2.40/32 TCP 30002"
    assert card.health(shown) == "tcp 30002, every 30 s, offline after 3 failures, not during a lease"
    assert card.holder(shown) == f"ada, instance {ID}, since {WHEN}"
    assert card.shown(shown, "Online") == f"False (EndpointInUse) since {WHEN}: a message"
    assert card.shown(shown, "Maintenance") is None
    (step,) = card.steps(shown)
    assert step.startswith("Online: ")
    wire = card.wire(shown)
    assert [entry["type"] for entry in wire["conditions"]] == ["Online", "Reachable", "Walled"]
    assert (wire["lease"]["epoch"], wire["available"], wire["leasedNetwork"]) == (3, False, ARM["network"])


def test_a_card_shows_the_devices_of_the_spec_and_of_the_lease() -> None:
    arm = {"name": "arm", "deviceClassName": "devices.berth.dev", "selectors": [{"cel": {"expression": "true"}}]}
    pump = {"name": "pump", "deviceClassName": "pumps", "selectors": []}
    missing = [told("DevicesFound", "False", "DeviceMissing")]
    shown = Lent(deployment(machine={"devices": [arm, pump]}, conditions=missing), instance(machine={"devices": [arm]}))
    of_arm = "the device arm (class devices.berth.dev, true)"
    assert (card.devices(shown), card.leased_devices(shown)) == (f"{of_arm}; the device pump (class pumps)", of_arm)
    assert (card.endpoints(shown), card.no_endpoints(shown)) == (None, "none")
    wire = card.wire(shown)
    assert (wire["devices"], wire["leasedDevices"]) == ([arm, pump], [arm])
    (step,) = card.steps(shown)
    assert step.startswith("DevicesFound: Plug the device in")
    assert card.devices(Lent(deployment(), None)) is None
