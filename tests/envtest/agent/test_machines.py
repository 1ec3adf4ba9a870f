"""A machine's addresses from inside of pods: real packets, judged by the kernel, whether or not a NetworkPolicy stands.

Routes lead to all addresses, and something listens at each of them, so that only the ruleset decides.
"""

import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from ipaddress import ip_network

import pytest
from amount import but_first

from berth_core.firewall import Endpoints, Machines, PortRange, Rule, closed_ruleset, ruleset_body, stamp

from .pod import EPOCH, Answer, Pod
from .test_firewall import SILENCE, heard

LAB = (ip_network("192.0.2.0/24"), ip_network("2001:db8:7::/64"))
OWN, OWN6 = "192.0.2.40", "2001:db8:7::40"
BESIDE, BESIDE6 = "192.0.2.41", "2001:db8:7::41"
OTHER_NAMES = ["64:ff9b::192.0.2.40", "2002:c000:228::1", "::ffff:0:192.0.2.40"]
ELSEWHERE = ["198.51.100.7", "2001:db8:8::7"]
PORTS = (22, 53, 8000, 8001)
ARM = Endpoints(tuple(ip_network(address) for address in (OWN, OWN6)), (PortRange("TCP", 8000, 8000),))
CLOSED, OPEN, WHOLE = (Machines(LAB, opened) for opened in (None, ARM, Endpoints(ARM.networks)))


@pytest.fixture
def listening(pod: Pod) -> Iterator[Pod]:
    """A pod whose agent begins with the closed ruleset of a lab with machines."""
    for address in (OWN, OWN6, BESIDE, BESIDE6, *OTHER_NAMES, *ELSEWHERE):
        pod.outside.sh("ip", "address", "add", address, "dev", "lo")
        via = "2001:db8:200::10" if ":" in address else "198.18.200.10"
        pod.inside.sh("ip", "route", "add", address, "via", via)
    pod.write_initial(EPOCH, closed_ruleset(EPOCH, machines=CLOSED), [])
    with ExitStack() as stack:
        for port in PORTS:
            stack.enter_context(pod.outside.listen(port))
        yield pod


@pytest.fixture
def begun(listening: Pod) -> Pod:
    listening.start()
    return listening


EVERYBODY = tuple(Rule.parse(source, "ACCEPT") for source in ("0.0.0.0/0", "::/0"))


def push(
    pod: Pod, generation: int, machines: Machines, *, rules: Sequence[Rule] = EVERYBODY, ended: bool = False
) -> Answer:
    """Push a ruleset as the operator does, with rules that let everybody in."""
    rules = () if ended else rules
    ruleset = stamp(ruleset_body(rules, machines=machines, ended=ended), EPOCH, generation)
    body = {"epoch": EPOCH, "generation": generation, "ruleset": ruleset, "authorizedKeys": [], "notice": ""}
    answer = pod.request("PUT", "/v1/state", json.dumps({**body, "cut": ended}))
    assert answer.status == 200, answer
    return answer


def reaches(pod: Pod, address: str, port: int) -> bool:
    try:
        pod.inside.connect((address, port), timeout=SILENCE).close()
    except OSError:
        return False
    return True


def reached(pod: Pod, addresses: list[str]) -> set[tuple[str, int]]:
    return {(address, port) for address in addresses for port in PORTS if reaches(pod, address, port)}


ALL = [OWN, OWN6, BESIDE, BESIDE6, *OTHER_NAMES]


@pytest.mark.release(twin="tests/e2e/test_machines.py::test_a_robot_is_reached_by_its_lease_only_and_while_that_lasts")
def test_no_machine_is_reached_before_a_push_and_everything_else_is(begun: Pod) -> None:
    assert reached(begun, ALL) == set()
    assert reached(begun, ELSEWHERE) == {(address, port) for address in ELSEWHERE for port in PORTS}


def test_a_push_opens_the_lease_s_own_endpoints_and_nothing_beside_them(begun: Pod) -> None:
    push(begun, 1, OPEN)
    assert reached(begun, ALL) == {(OWN, 8000), (OWN6, 8000)}


@pytest.mark.release(
    twin="tests/envtest/agent/test_machines.py::test_a_push_opens_the_lease_s_own_endpoints_and_nothing_beside_them"
)
def test_without_ports_all_of_the_own_address_is_open_and_no_other_name_of_it(begun: Pod) -> None:
    push(begun, 1, WHOLE)
    assert reached(begun, ALL) == {(address, port) for address in (OWN, OWN6) for port in PORTS}
    with begun.outside.open(socket.AF_INET, socket.SOCK_DGRAM) as machine:
        machine.bind((OWN, 7400))
        with begun.inside.open(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"hello", (OWN, 7400))
            assert heard(machine) == b"hello"


@pytest.mark.release(twin="tests/e2e/test_machines.py::test_a_robot_is_reached_by_its_lease_only_and_while_that_lasts")
def test_a_lease_without_a_machine_reaches_none_though_its_rules_let_everybody_in(begun: Pod) -> None:
    push(begun, 1, CLOSED)
    assert reached(begun, ALL) == set()


def test_a_push_that_closes_a_machine_cuts_what_stands(begun: Pod) -> None:
    push(begun, 1, OPEN)
    with begun.outside.listen(8002) as machine:
        push(begun, 2, Machines(LAB, Endpoints(ARM.networks, (PortRange("TCP", 8000, 8002),))))
        with begun.inside.connect((OWN, 8002)) as sock:
            peer, _ = machine.accept()
            push(begun, 3, CLOSED)
            sock.sendall(b"go on")
            assert heard(peer) is None
            peer.close()


@pytest.mark.parametrize("address", but_first(OWN, OWN6))
def test_at_the_end_what_stands_may_bring_the_machine_to_rest_and_nothing_new_begins(begun: Pod, address: str) -> None:
    with begun.outside.listen(8002) as machine:
        opened = Machines(LAB, Endpoints(ARM.networks, (PortRange("TCP", 8000, 8002),)))
        push(begun, 1, opened)
        with begun.inside.connect((address, 8002)) as sock:
            peer, _ = machine.accept()
            push(begun, 2, opened, ended=True)
            sock.sendall(b"slow down")
            assert heard(peer) == b"slow down"
            peer.sendall(b"stopped")
            assert heard(sock) == b"stopped"
            assert reached(begun, ALL) == set()
            peer.close()


@pytest.mark.release(
    twin="tests/envtest/agent/test_machines.py::test_a_push_opens_the_lease_s_own_endpoints_and_nothing_beside_them"
)
def test_a_resolver_among_the_machines_answers_dns_only(begun: Pod) -> None:
    push(begun, 1, Machines(LAB, resolvers=(ip_network(BESIDE), ip_network(BESIDE6))))
    assert reached(begun, ALL) == {(BESIDE, 53), (BESIDE6, 53)}


def test_ranges_of_ports_that_overlap_are_one_ruleset_that_the_kernel_takes(begun: Pod) -> None:
    ports = (PortRange("TCP", 8000, 8001), PortRange("TCP", 8001, 8001), PortRange("UDP", 1, 65535))
    push(begun, 1, Machines(LAB, Endpoints(ARM.networks, ports)))
    assert reached(begun, [OWN]) == {(OWN, 8000), (OWN, 8001)}


COMES = Machines(LAB, ARM, inbound=(PortRange("TCP", 7401, 7401), PortRange("UDP", 7400, 7400)))
"""A machine that connects to two ports of the workspace."""


def comes_in(pod: Pod, source: str) -> set[tuple[str, int]]:
    """Ports of the workspace at which an address of the outside gets an answer."""
    family, target = (socket.AF_INET6, pod.ip6) if ":" in source else (socket.AF_INET, pod.ip)
    found = set()
    for port in (7400, 7401):
        with pod.inside.listen(port):
            try:
                with pod.outside.connect((target, port), source=source, timeout=SILENCE) as sock:
                    assert sock.getpeername()[1] == port
                    found.add(("TCP", port))
            except OSError:
                pass
        with (
            pod.inside.open(family, socket.SOCK_DGRAM) as workspace,
            pod.outside.open(family, socket.SOCK_DGRAM) as out,
        ):
            workspace.bind((target, port))
            out.bind((source, 0))
            out.sendto(b"scan", (target, port))
            if heard(workspace) is not None:
                workspace.sendto(b"thanks", out.getsockname()[:2])
                assert heard(out) == b"thanks", "the answer gets out"
                found.add(("UDP", port))
    return found


INBOUND = {("UDP", 7400), ("TCP", 7401)}


@pytest.mark.parametrize(("own", "other"), but_first((OWN6, BESIDE6), (OWN, BESIDE)))
def test_the_machine_comes_in_at_its_inbound_ports_and_nobody_else_does(begun: Pod, own: str, other: str) -> None:
    assert comes_in(begun, own) == set(), "nothing comes in before a push"
    push(begun, 1, COMES, rules=())
    assert (comes_in(begun, own), comes_in(begun, other)) == (INBOUND, set())
    push(begun, 2, OPEN, rules=())
    assert comes_in(begun, own) == set(), "a lease whose machine connects to nothing lets none in"
    push(begun, 3, COMES, ended=True)
    assert comes_in(begun, own) == set(), "nothing comes in once the lease has ended"


def test_a_rule_of_the_holder_about_the_machine_goes_before(begun: Pod) -> None:
    push(begun, 1, COMES, rules=(Rule.parse(OWN, "DROP"),))
    assert comes_in(begun, OWN) == set()
    assert comes_in(begun, OWN6) == INBOUND


@pytest.mark.release(twin="tests/envtest/agent/test_lifecycle.py")
def test_an_agent_that_is_killed_leaves_the_machine_as_it_was_pushed(begun: Pod) -> None:
    push(begun, 1, OPEN)
    begun.stop(9)
    assert reached(begun, [OWN, BESIDE]) == {(OWN, 8000)}
    begun.start()
    assert reached(begun, [OWN, BESIDE]) == {(OWN, 8000)}, "the closed ruleset is loaded only where none is"
