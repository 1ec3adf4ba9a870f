"""The status of a grant: which part of it is of no use."""

from ipaddress import ip_network
from typing import Any

import pytest

from berth_core.kube.conditions import find
from berth_core.machines.placement import OUT_OF_REACH, OUTSIDE, Grounds
from berth_core.resources import MachineGrant
from berth_operator.machines.decide import READY, UNKNOWN_TYPE, grant_status

from ..samples import NOW

GROUNDS = Grounds(
    machines=(ip_network("192.0.2.0/24"), ip_network("2001:db8:7::/48")),
    closed=(ip_network("192.0.2.128/28"),),
    resolvers=(ip_network("192.0.2.53"),),
)


def grant(*networks: str, types: tuple[str, ...] = ("arm",), **status: Any) -> MachineGrant:
    spec = {"users": ["alice"], "types": types, "networks": [{"cidr": one} for one in networks]}
    return MachineGrant.parse(
        {"metadata": {"name": "lab", "namespace": "lab", "generation": 3}, "spec": spec, "status": status}
    )


@pytest.mark.parametrize(
    ("networks", "types", "reason"),
    [
        (["192.0.2.0/24"], ("arm",), "Usable"),
        (["192.0.2.128/25", "2001:db8:7::/64"], ("arm", "leg"), "Usable"),
        (["198.51.100.0/24"], ("arm",), OUTSIDE),
        (["192.0.2.0/24", "198.51.100.0/24"], ("arm",), OUTSIDE),
        (["192.0.0.0/16"], ("arm",), OUTSIDE),
        (["2001:db8:8::/64"], ("arm",), OUTSIDE),
        (["192.0.2.130/32"], ("arm",), OUT_OF_REACH),
        (["192.0.2.53/32"], ("arm",), OUT_OF_REACH),
        (["64:ff9b::/96"], ("arm",), OUT_OF_REACH),
        (["192.0.2.0/24"], ("arm", "wheel"), UNKNOWN_TYPE),
    ],
)
def test_a_grant_is_ready_where_all_of_it_can_be_used(networks: list[str], types: tuple[str, ...], reason: str) -> None:
    status = grant_status(grant(*networks, types=types), {"arm", "leg"}, GROUNDS, 2, NOW)
    ready = find(status.conditions, READY)
    assert ready is not None
    assert (ready.reason, ready.status) == (reason, "True" if reason == "Usable" else "False")
    assert (status.deployments, status.observed_generation) == (2, 3)


def test_all_that_is_of_no_use_is_named_and_many_are_counted() -> None:
    status = grant_status(grant(*(f"198.51.100.{n}/32" for n in range(6)), types=("gone",)), (), GROUNDS, 0, NOW)
    ready = find(status.conditions, READY)
    assert ready is not None
    assert "198.51.100.3/32" in ready.message
    assert "198.51.100.4/32" not in ready.message
    assert ready.message.endswith("; 3 more")
