"""That the API server takes the NetworkPolicies that egress and rules come to."""

from ipaddress import ip_network

import pytest

from berth_core.firewall import Egress, OperatorPods, PolicyRequest, Rule, network_policy
from berth_core.kube.client import Client
from berth_core.kube.types import Kind

POLICIES = Kind("networking.k8s.io/v1", "networkpolicies")
BLOCKED = tuple(map(ip_network, ("10.0.0.0/8", "192.168.7.0/24", "fd12::/64")))


@pytest.mark.parametrize("public", [False, True])
@pytest.mark.parametrize(
    "named",
    [
        ("0.0.0.0/0", "::/0"),  # docs/how-to/helm.md, "Upgrade"
        ("192.168.7.0/24", "64:ff9b::/96"),
        ("::/0",),
        ("::/1",),
        ("::/8",),
        ("::/64",),
        ("::fffe:0:0/95",),
        ("64:ff9b::/96",),
        ("2002::/16",),
        ("0.0.0.0/0", "64:ff9b::/96", "2002::/16"),
    ],
)
async def test_the_policy_of_whatever_a_type_names_is_taken(
    client: Client, namespace: str, named: tuple[str, ...], public: bool
) -> None:
    egress = Egress(tuple(map(ip_network, named)), public=public, blocked=BLOCKED)
    await create(client, namespace, [], egress)


@pytest.mark.parametrize(
    "rules",
    [
        [("::ffff:10.0.0.0/104", "DROP"), ("::/0", "ACCEPT")],
        [("::fffe:0:0/97", "DROP"), ("::fffe:0:0/95", "ACCEPT")],
    ],
)
async def test_the_policy_of_whatever_rules_say_is_taken(
    client: Client, namespace: str, rules: list[tuple[str, str]]
) -> None:
    await create(client, namespace, [Rule.parse(*rule) for rule in rules], Egress())


async def create(client: Client, namespace: str, rules: list[Rule], egress: Egress) -> None:
    request = PolicyRequest("p", namespace, {}, {"app": "p"}, rules, OperatorPods(namespace), egress=egress)
    await client.create(POLICIES, namespace, network_policy(request))
