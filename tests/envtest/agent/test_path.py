"""The operator's path check: only an answer of the instance itself counts as arrival."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from berth_operator.agents.reachability import path_stands

from .pod import OPERATOR, Pod

NOWHERE = "203.0.113.9"


@pytest.fixture
def sshd(served: Pod) -> Iterator[socket.socket]:
    with served.inside.listen(22) as listener:
        yield listener


def stands(pod: Pod, address: str, port: int = 22, seconds: float = 0.5) -> bool | None:
    return pod.outside.call(lambda: asyncio.run(path_stands(address, port, seconds)))


def test_the_instances_own_answer_says_that_packets_arrive(served: Pod, sshd: socket.socket) -> None:
    served.push(1)
    assert stands(served, served.ip, seconds=5) is True


def test_a_host_that_cannot_be_reached_is_no_answer_of_the_instance(served: Pod) -> None:
    """The address of a pod that is gone is answered for by the node, with the errno that the ruleset's answer has."""
    served.outside.sh("ip", "route", "add", "unreachable", NOWHERE)
    assert stands(served, NOWHERE) is None


def test_a_router_that_finds_no_host_is_no_answer_of_the_instance(served: Pod) -> None:
    served.inside.sh("nft", "delete", "table", "inet", "berth")
    served.inside.sh("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0")
    served.inside.sh("ip", "route", "add", "unreachable", NOWHERE)
    served.outside.sh("ip", "route", "add", NOWHERE, "via", served.ip)
    assert stands(served, NOWHERE) is None


@pytest.mark.parametrize(("action", "found"), [("REJECT", False), ("DROP", None), ("ACCEPT", True)])
def test_a_rule_about_the_operator_comes_first(
    served: Pod, sshd: socket.socket, action: str, found: bool | None
) -> None:
    served.push(1, (OPERATOR, action))
    assert stands(served, served.ip) is found
