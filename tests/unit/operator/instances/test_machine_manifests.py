"""A lease opens its machine by its own status, while it lasts, and nothing is opened before anybody has it."""

import base64
import json
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any, cast

import pytest

from berth_cli.admin.doctor.findings import Level
from berth_cli.admin.machines import openings
from berth_cli.admin.machines.of_policies import exact
from berth_core.firewall import Sources
from berth_core.kube.client import Client
from berth_core.kube.types import Object
from berth_operator.agents.certificates import KeyPair
from berth_operator.engine.clock import Clock
from berth_operator.instances.firewall import desired, rules
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.policy import closed_policy, policy, type_policy
from berth_operator.instances.manifests.secrets import agent_secret
from berth_operator.instances.warm.manifests import made_from
from berth_operator.registry import make_world
from berth_operator.settings.config import Config

from ..samples import CONFIG, bound, deployment, instance, machine_parts, pod, type_

LAB = replace(CONFIG, machines=(ip_network("192.0.2.0/24"), ip_network("2001:db8:7::/64")))
OWN, LATER = "192.0.2.40/32", "192.0.2.99/32"
MACHINE: dict[str, Any] = {"network": {"addresses": [OWN]}}


def opened(manifest: Object) -> list[Object]:
    """Entries of a policy's egress with an address of a machine."""
    return [
        entry
        for entry in manifest["spec"]["egress"]
        if any(peer.get("ipBlock", {}).get("cidr", "").startswith("192.0.2.") for peer in entry["to"])
    ]


@pytest.mark.parametrize("sources", list(Sources))
@pytest.mark.parametrize("build", [lambda lease, config: policy(lease, (), config), closed_policy])
def test_the_policy_of_a_lease_and_of_its_hooks_opens_what_its_status_says(sources: Sources, build: Any) -> None:
    (entry,) = opened(build(machine_parts(), replace(LAB, sources=sources)))
    assert entry == {
        "to": [{"ipBlock": {"cidr": OWN}}],
        "ports": [{"protocol": "TCP", "port": 30002}],
    }


def test_the_policy_of_the_type_opens_no_machine_whatever_the_type_names() -> None:
    kind = type_(network={"egress": "list", "allowed": ["192.0.2.0/24", "198.51.100.0/24"]})
    manifest = type_policy(kind, LAB)
    assert not opened(manifest)
    assert "198.51.100.0/24" in json.dumps(manifest)


@pytest.mark.parametrize("sources", list(Sources))
@pytest.mark.parametrize("build", [lambda lease, config: policy(lease, (), config), closed_policy])
def test_an_administrators_check_agrees_with_the_operator(sources: Sources, build: Any) -> None:
    lease, config = machine_parts(), replace(LAB, sources=sources, resolvers=(ip_address("192.0.2.53"),))
    assert lease.network is not None
    manifest = build(lease, config)
    assert exact("", manifest, lease.network, config.grounds).level is Level.OK
    assert openings.opens(manifest, lease.network.reached())
    assert not openings.opens(type_policy(lease.type, config), lease.network.reached())


@pytest.mark.parametrize(
    ("config", "why"),
    [
        (CONFIG, "no network of machines is named"),
        (replace(LAB, blocked=(ip_network("192.0.2.32/27"),)), "an administrator has closed it since"),
        (replace(LAB, own_networks=(ip_network("192.0.2.40/32"),)), "a node has the address"),
    ],
)
def test_what_may_not_be_lent_is_not_opened_for_a_lease_that_runs_either(config: Config, why: str) -> None:
    assert not opened(policy(machine_parts(), (), config)), why
    assert config.grounds.around(machine_parts().network).opened is None, why


def test_while_it_is_bound_it_opens_what_the_deployment_names_and_from_then_on_what_it_was_bound_to() -> None:
    wd = deployment(machine={"network": {"addresses": [LATER]}})
    assert LeaseParts(instance(), wd, type_(), 3).machine == wd.spec.machine
    held = LeaseParts(bound(status={"machine": MACHINE}), wd, type_(), 3)
    assert held.network is not None
    assert held.network.addresses == [OWN]
    assert LeaseParts(bound(), wd, type_(), 3).network is None, "an earlier version bound it, and opened nothing"
    assert LeaseParts(None, wd, type_(), 3, warm=True).network is None, "nobody has it"


def initial(lease: LeaseParts, config: Config) -> str:
    secret = agent_secret(lease, KeyPair("cert", "key"), "ca", config.grounds.around(None))
    text: str = json.loads(base64.b64decode(secret["data"]["initial.json"]))["ruleset"]
    return text


def test_the_first_ruleset_shuts_all_machines_the_lease_s_own_too() -> None:
    text = initial(machine_parts(), LAB)
    assert "192.0.2.0/24" in text
    assert "2001:db8:7::/64" in text
    assert "192.0.2.40" not in text


def test_a_push_opens_the_lease_s_own_and_its_end_leaves_what_stands_only() -> None:
    world = make_world(LAB, cast(Client, None), Clock())
    text = rules.ruleset(world, machine_parts().holder, [], pod())
    assert "ip daddr { 192.0.2.40/32 } tcp dport { 30002 } accept" in text
    assert "192.0.2.99" not in text
    ended = desired.ended(LAB.grounds.around(machine_parts().network))
    assert "ip daddr { 192.0.2.40/32 } ct state established tcp dport { 30002 } accept" in ended
    other = rules.ruleset(world, bound(), [], pod())
    assert "192.0.2.40" not in other
    assert "192.0.2.0/24" in other, "a lease without a machine is kept from all of them"


def test_a_warm_pod_is_made_anew_where_its_machine_or_the_networks_of_machines_change() -> None:
    def digest(machine: dict[str, Any] | None, config: Config) -> str:
        return made_from(LeaseParts(None, deployment(machine=machine), type_(), 3, warm=True), config)

    changed = {"network": {"addresses": [LATER]}}
    ports = {"network": {"addresses": [OWN], "ports": [{"port": 22}]}}
    digests = [digest(machine, LAB) for machine in (None, MACHINE, changed, ports)]
    digests.append(digest(MACHINE, replace(LAB, machines=LAB.machines[:1])))
    assert len(set(digests)) == len(digests)
    assert digest(MACHINE, LAB) == digest(MACHINE, LAB)


def test_the_ends_of_the_networks_are_what_the_walls_say() -> None:
    """An address beside the machine's own, in the same network, is opened to nobody."""
    (entry,) = opened(policy(machine_parts(addresses=["192.0.2.40/31"]), (), LAB))
    (block,) = (ip_network(peer["ipBlock"]["cidr"]) for peer in entry["to"])
    assert [ip_address(f"192.0.2.{last}") in block for last in (39, 40, 41, 42)] == [False, True, True, False]
