"""The cluster's own networks, which no workspace reaches."""

from typing import Any

import pytest

from berth_core.firewall.nodes import networks_of
from berth_operator.networks import is_new, own_networks

SERVERS = {"endpoints": [{"addresses": ["198.51.100.1"]}, {"addresses": ["198.51.100.2", "2001:db8::2"]}]}
RANGES = [{"spec": {"cidrs": ["10.96.0.0/16", "fd00:96::/112"]}}]


def node(*addresses: str, pods: tuple[str, ...] = ()) -> dict[str, Any]:
    known = [{"type": "Hostname", "address": "node.example"}]
    known += [{"type": "InternalIP", "address": address} for address in addresses]
    return {"spec": {"podCIDRs": list(pods)} if pods else {}, "status": {"addresses": known}}


def test_they_are_those_of_nodes_their_pods_services_and_api_servers() -> None:
    nodes = [
        node("198.51.100.11", "2001:db8::11", pods=("10.244.0.0/24", "fd00:1::/64")),
        node(pods=("10.244.1.0/24",)),
    ]
    assert [str(network) for network in own_networks(nodes, RANGES, SERVERS)] == [
        "10.96.0.0/16",
        "10.244.0.0/23",
        "198.51.100.1/32",
        "198.51.100.2/32",
        "198.51.100.11/32",
        "2001:db8::2/128",
        "2001:db8::11/128",
        "fd00:1::/64",
        "fd00:96::/112",
    ]


def test_nothing_is_known_of_a_node_that_has_just_come_and_of_servers_that_keep_no_slice() -> None:
    assert networks_of({"metadata": {"name": "new"}}) == []
    assert own_networks([{}], [], None) == ()


@pytest.mark.parametrize(
    ("of", "new"),
    [
        (node("198.51.100.11", pods=("10.244.1.0/24",)), False),
        (node("198.51.100.12", pods=("10.244.1.0/24",)), True),
        (node("198.51.100.11", pods=("10.244.4.0/24",)), True),
        (node("2001:db8::11"), True),
        (node(), False),
    ],
)
def test_a_node_is_new_whose_networks_are_not_known(of: dict[str, Any], *, new: bool) -> None:
    known = own_networks([node("198.51.100.11", pods=("10.244.0.0/23",))], [], None)
    assert is_new(of, known) is new
