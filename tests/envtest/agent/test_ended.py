"""The end of a lease as both sides of its connections see it: a reset at once, whoever waits, whatever else is shut."""

import json
import socket
from collections.abc import Iterator

import pytest

from berth_core.firewall import ruleset_body, stamp

from .pod import EPOCH, Answer, Pod
from .test_firewall import FAMILIES, heard, knock


@pytest.fixture
def sshd(served: Pod) -> Iterator[socket.socket]:
    with served.inside.listen(22) as listener:
        yield listener


def ends(pod: Pod, generation: int, *, cut: bool = True) -> Answer:
    """Push the end of a lease, as the operator does; without ``cut``, as to a kernel that cannot end connections."""
    ruleset = stamp(ruleset_body((), ended=True), EPOCH, generation)
    body = {
        "epoch": EPOCH,
        "generation": generation,
        "ruleset": ruleset,
        "authorizedKeys": [],
        "notice": "",
        "cut": cut,
    }
    return pod.request("PUT", "/v1/state", json.dumps(body))


@pytest.mark.parametrize("net", FAMILIES)
def test_a_peer_that_only_waits_hears_of_the_end_at_once(served: Pod, sshd: socket.socket, net: str) -> None:
    served.push(1, (net + "10", "ACCEPT"))
    with served.outside.connect((served.ip6 if ":" in net else served.ip, 22), source=net + "10") as client:
        server, _ = sshd.accept()
        assert ends(served, 2).status == 200
        with pytest.raises(ConnectionResetError):
            heard(client)
        with server, pytest.raises(ConnectionAbortedError):
            heard(server)


@pytest.mark.parametrize("net", FAMILIES)
def test_where_the_kernel_ends_nothing_the_peers_next_packet_is_answered_with_a_reset(
    served: Pod, sshd: socket.socket, net: str
) -> None:
    served.push(1, (net + "10", "ACCEPT"))
    with served.outside.connect((served.ip6 if ":" in net else served.ip, 22), source=net + "10") as client:
        server, _ = sshd.accept()
        assert ends(served, 2, cut=False).status == 200
        with server:
            server.sendall(b"from inside")
            assert heard(client) is None
            client.sendall(b"from outside")
            with pytest.raises(ConnectionResetError):
                heard(client)
            assert heard(server) is None


def test_what_an_ended_process_left_to_say_ends_with_a_reset_too(served: Pod, sshd: socket.socket) -> None:
    """A workspace that ends after the door was shut cannot take leave: its last packets get out to nobody."""
    served.push(1, ("198.18.200.10", "ACCEPT"))
    with served.outside.connect((served.ip, 22), source="198.18.200.10") as client:
        server, _ = sshd.accept()
        served.push(2)
        server.close()
        assert heard(client) is None
        assert ends(served, 3).status == 200
        with pytest.raises(ConnectionResetError):
            heard(client)


def test_whoever_is_new_meets_silence_as_without_rules(served: Pod, sshd: socket.socket) -> None:
    served.push(1, *((net + "10", "ACCEPT") for net in FAMILIES))
    assert ends(served, 2).status == 200
    assert {knock(served, net + last) for net in FAMILIES for last in ("9", "10", "11")} == {"DROP"}
    assert knock(served, "198.18.200.10", port=8470) == "ACCEPT"


def test_a_stray_packet_of_no_connection_is_met_with_silence(served: Pod, sshd: socket.socket) -> None:
    served.push(1, ("198.18.200.10", "ACCEPT"))
    with served.outside.connect((served.ip, 22), source="198.18.200.10") as client:
        server, _ = sshd.accept()
        assert ends(served, 2, cut=False).status == 200
        served.inside.sh("conntrack", "-D", "-p", "tcp", "--dport", "22")
        client.sendall(b"from outside")
        assert heard(client) is None
        server.close()


def test_what_the_workspace_opened_itself_and_its_loopback_go_on(served: Pod, sshd: socket.socket) -> None:
    """A program may need both to bring its machine to rest before it ends."""
    served.push(1, ("198.18.200.10", "ACCEPT"))
    with served.outside.listen(8000) as machine, served.inside.listen(9000) as local:
        near = [served.inside.connect((address, 9000)) for address in ("127.0.0.1", "::1", served.ip, served.ip6)]
        far = served.inside.connect(("198.18.200.10", 8000))
        pairs = [*((sock, local.accept()[0]) for sock in near), (far, machine.accept()[0])]
        assert ends(served, 2).status == 200
        for one, other in pairs:
            one.sendall(b"slow down")
            assert heard(other) == b"slow down"
            other.sendall(b"stopped")
            assert heard(one) == b"stopped"
            one.close()
            other.close()


def test_the_end_is_acknowledged_and_repeated_like_any_push(served: Pod, sshd: socket.socket) -> None:
    served.push(1, ("198.18.200.10", "ACCEPT"), keys=["ssh-ed25519 AAAAholder"])
    first, again = ends(served, 2), ends(served, 2)
    assert first.status == 200
    assert again == first
    assert served.keys() == ""
    assert [line["count"] for line in served.logged("connections ended")] == [0, 0]
