"""Packets that reach a pod under various rules: real ones between network namespaces, judged by the kernel."""

import errno
import json
import random
import select
import socket
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address

import pytest
from amount import but_first

from berth_core.firewall import Action, Rule

from .pod import Pod, wait_for

IP_MTU = 14
ANSWERS = {
    TimeoutError: "DROP",
    errno.ECONNREFUSED: "REJECT",
    errno.EHOSTUNREACH: "PROHIBITED",
    errno.EACCES: "PROHIBITED",
}
SILENCE = 0.25
"""Seconds without an answer that count as a drop; an answer takes about a millisecond here."""


def knock(pod: Pod, source: str, *, port: int = 22) -> str:
    """Fate of a TCP connection from a source: ACCEPT, DROP, REJECT or PROHIBITED."""
    to = (pod.ip6 if ":" in source else pod.ip, port)
    try:
        pod.outside.connect(to, source=source, timeout=SILENCE).close()
    except OSError as exc:
        return ANSWERS[type(exc) if exc.errno is None else exc.errno]
    return "ACCEPT"


def knock_all(pod: Pod, sources: list[str]) -> list[str]:
    """Fate of a connection to ssh from each source, all tried at once."""
    with ThreadPoolExecutor(len(sources)) as threads:
        return list(threads.map(lambda source: knock(pod, source), sources))


def heard(sock: socket.socket) -> bytes | None:
    """Bytes that the socket receives within the time of silence; None for nothing."""
    return sock.recv(100) if select.select([sock], [], [], SILENCE)[0] else None


def ping(pod: Pod, source: str) -> bool:
    """Whether an ICMP echo is answered."""
    six = ":" in source
    kind = (socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) if six else (
        socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)  # fmt: skip
    with pod.outside.open(*kind) as sock:
        sock.bind((source, 0))
        body = struct.pack("!BBHHH", 128 if six else 8, 0, 0, 7, 1)
        # The kernel fills in the checksum of ICMPv6, not of ICMP.
        sock.sendto(body if six else checksummed(body), (pod.ip6 if six else pod.ip, 0))
        wanted = 129 if six else 0
        while select.select([sock], [], [], SILENCE)[0]:
            reply = sock.recv(100)
            if reply[0 if six else 20] == wanted:
                return True
    return False


def checksummed(message: bytes) -> bytes:
    """An ICMP message with the Internet checksum in its place."""
    total = sum(struct.unpack(f"!{len(message) // 2}H", message))
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return message[:2] + struct.pack("!H", ~total & 0xFFFF) + message[4:]


@pytest.fixture
def sshd(served: Pod) -> Iterator[socket.socket]:
    with served.inside.listen(22) as listener:
        yield listener


FAMILIES = ["198.18.200.", "2001:db8:200::"]


@pytest.mark.parametrize("net", FAMILIES)
def test_the_first_rule_that_matches_decides_and_no_match_is_silence(
    served: Pod, sshd: socket.socket, net: str
) -> None:
    prefix = net + ("/64" if ":" in net else "0/24")
    served.push(
        1,
        (net + "10", "REJECT"),
        (net + "11", "DROP"),
        (net + "12", "ACCEPT"),
        (net + "12", "DROP"),
        (net + "13", "ACCEPT"),
        path_check=False,
    )
    assert knock_all(served, [net + n for n in ("10", "11", "12", "13", "14")]) == [
        "REJECT", "DROP", "ACCEPT", "ACCEPT", "DROP",
    ]  # fmt: skip
    served.push(2, (net + "10", "REJECT"), (net + "11", "DROP"), (prefix, "ACCEPT"))
    assert [knock(served, net + n) for n in ("10", "11", "14")] == ["REJECT", "DROP", "ACCEPT"]


def test_a_rule_for_everybody_is_for_its_ip_version_only(served: Pod, sshd: socket.socket) -> None:
    served.push(1, ("0.0.0.0/0", "ACCEPT"), path_check=False)
    assert [knock(served, net + "10") for net in FAMILIES] == ["ACCEPT", "DROP"]
    served.push(2, ("::/0", "REJECT"), path_check=False)
    assert [knock(served, net + "10") for net in FAMILIES] == ["DROP", "REJECT"]


@pytest.mark.release(twin="tests/envtest/agent/test_table.py")
def test_random_rules_are_met_exactly(served: Pod, sshd: socket.socket) -> None:
    """Twelve rulesets of both IP versions against every outside address."""
    seed = random.Random(7)  # noqa: S311 (repeatable on purpose)
    for generation in range(1, 13):
        rules = [
            Rule.parse(f"{seed.choice(FAMILIES)}{seed.randrange(9, 20)}", seed.choice(list(Action)))
            for _ in range(seed.randrange(1, 25))
        ]
        rules += [Rule.parse("198.18.200.16/29", seed.choice(list(Action)))]
        answer = served.push(generation, *((str(r.source), r.action) for r in rules), path_check=False)
        assert answer.status == 200
        sources = [f"{net}{last}" for net in FAMILIES for last in range(10, 20)]
        wanted = [next((r.action for r in rules if ip_address(s) in r.source), Action.DROP) for s in sources]
        assert knock_all(served, sources) == wanted, rules


@pytest.mark.parametrize("net", but_first(*FAMILIES))
def test_udp_and_echo_follow_the_rules_too(served: Pod, net: str) -> None:
    address = served.ip6 if ":" in net else served.ip
    family = socket.AF_INET6 if ":" in net else socket.AF_INET
    server = served.inside.open(family, socket.SOCK_DGRAM)
    server.bind((address, 5000))
    served.push(1, (net + "10", "ACCEPT"), (net + "11", "REJECT"))
    clients = {}
    for last in ("10", "11", "12"):
        clients[last] = served.outside.open(family, socket.SOCK_DGRAM)
        clients[last].bind((net + last, 0))
        clients[last].connect((address, 5000))
        clients[last].send(last.encode())
    assert heard(server) == b"10"
    assert heard(server) is None
    with pytest.raises(ConnectionRefusedError):
        heard(clients["11"])
    assert heard(clients["12"]) is None
    assert [ping(served, net + last) for last in ("10", "11", "12")] == [True, False, False]
    for sock in (server, *clients.values()):
        sock.close()


@pytest.mark.parametrize("net", FAMILIES)
@pytest.mark.parametrize("action", ["DROP", "REJECT", None])
def test_a_forbidding_push_cuts_an_established_connection_both_ways(
    served: Pod, sshd: socket.socket, net: str, action: str | None
) -> None:
    served.push(1, (net + "10", "ACCEPT"), (net + "11", "ACCEPT"))
    to = (served.ip6 if ":" in net else served.ip, 22)
    pairs = {}
    for last in ("10", "11"):
        client = served.outside.connect(to, source=net + last)
        pairs[last] = (client, sshd.accept()[0])
    forbidding = [(net + "10", action)] if action else []
    assert served.push(2, *forbidding, (net + "11", "ACCEPT")).status == 200
    for client, server in pairs.values():
        server.sendall(b"from inside")
        client.sendall(b"from outside")
    assert heard(pairs["11"][0]) == b"from inside"
    assert heard(pairs["11"][1]) == b"from outside"
    assert heard(pairs["10"][1]) is None
    if action == "REJECT":
        with pytest.raises(ConnectionResetError):
            heard(pairs["10"][0])
    else:
        assert heard(pairs["10"][0]) is None
    for sock in (sock for pair in pairs.values() for sock in pair):
        sock.close()


def test_a_cut_connection_lives_again_when_its_source_is_accepted_again(served: Pod, sshd: socket.socket) -> None:
    served.push(1, ("198.18.200.10", "ACCEPT"))
    client = served.outside.connect((served.ip, 22), source="198.18.200.10")
    server, _ = sshd.accept()
    served.push(2)
    client.sendall(b"while shut")
    assert heard(server) is None
    served.push(3, ("198.18.200.10", "ACCEPT"))
    server.settimeout(30)  # the pauses of retransmissions double
    assert server.recv(100) == b"while shut"
    client.close()
    server.close()


def test_udp_replies_stop_when_the_peer_is_forbidden(served: Pod) -> None:
    server = served.inside.open(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((served.ip, 5000))
    client = served.outside.open(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind(("198.18.200.10", 0))
    client.connect((served.ip, 5000))
    served.push(1, ("198.18.200.10", "ACCEPT"))
    client.send(b"hello")
    _, peer = server.recvfrom(100)
    server.sendto(b"reply", peer)
    assert heard(client) == b"reply"
    served.push(2)
    with pytest.raises(PermissionError):
        server.sendto(b"more", peer)
    client.send(b"again")
    assert heard(client) is None
    assert heard(server) is None
    server.close()
    client.close()


def test_what_the_workspace_opens_outward_is_answered_whatever_the_rules(served: Pod) -> None:
    served.push(1, ("198.18.200.10", "DROP"))
    with served.outside.listen(8000) as listener:
        sock = served.inside.connect(("198.18.200.10", 8000))
        peer, _ = listener.accept()
        served.push(2, ("0.0.0.0/0", "REJECT"))
        sock.sendall(b"question")
        assert heard(peer) == b"question"
        peer.sendall(b"answer")
        assert heard(sock) == b"answer"
        sock.close()
        peer.close()
    with pytest.raises(ConnectionRefusedError):
        served.inside.connect(("198.18.200.10", 8001))


@pytest.mark.parametrize("pushed", but_first(False, True))
def test_no_metadata_service_is_reached_from_the_first_moment_on(pod: Pod, pushed: bool) -> None:
    """Whether or not a NetworkPolicy stands around the pod yet; every other address is that one's matter."""
    metadata = ["169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254"]
    metadata += ["64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::ffff:0:169.254.169.254", "64:ff9b::100.100.100.200"]
    others = ["8.8.8.8", "100.100.100.201", "fd00:ec3::254", "64:ff9b::8.8.8.8"]
    for address in (*metadata, *others):
        pod.outside.sh("ip", "address", "add", address, "dev", "lo")
        via = "2001:db8:200::10" if ":" in address else "198.18.200.10"
        pod.inside.sh("ip", "route", "add", address, "via", via)
    pod.start()
    if pushed:
        assert pod.push(1, ("0.0.0.0/0", "ACCEPT"), ("::/0", "ACCEPT")).status == 200
    with pod.outside.listen(8000), pod.outside.listen(53):
        for address in others:
            pod.inside.connect((address, 8000)).close()
        for address in metadata:
            with pytest.raises(TimeoutError):
                pod.inside.connect((address, 8000), timeout=SILENCE)
            pod.inside.connect((address, 53)).close()


def test_the_agents_port_as_a_source_opens_no_way_out(pod: Pod) -> None:
    """Before the agent listens, any process in the pod may use its port. Its own answers are in `test_protocol.py`."""
    for address in ("169.254.169.254", "8.8.8.8"):
        pod.outside.sh("ip", "address", "add", address, "dev", "lo")
        pod.inside.sh("ip", "route", "add", address, "via", "198.18.200.10")
    pod.close_door()
    with pod.outside.listen(8000):
        for address, gets_there in (("8.8.8.8", True), ("169.254.169.254", False)):
            with pod.inside.open(socket.AF_INET, socket.SOCK_STREAM) as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((pod.ip, 8470))
                sock.settimeout(SILENCE)
                if gets_there:
                    sock.connect((address, 8000))
                else:
                    with pytest.raises(TimeoutError):
                        sock.connect((address, 8000))


def test_a_neighbour_with_a_link_local_address_is_still_found(served: Pod) -> None:
    shown = json.loads(served.outside.sh("ip", "-j", "-6", "address", "show", "dev", "out0"))
    own = [address for link in shown for address in link.get("addr_info", ())]
    (link_local,) = [address["local"] for address in own if address.get("scope") == "link"]
    served.outside.sh("ip", "address", "add", "2a00:7::7", "dev", "lo", "nodad")
    served.inside.sh("ip", "route", "add", "2a00:7::7", "via", link_local, "dev", "eth0")
    with served.outside.listen(8000):
        served.inside.connect(("2a00:7::7", 8000)).close()


def test_a_remainder_of_a_connection_cannot_pass_for_one_opened_outward(served: Pod, sshd: socket.socket) -> None:
    """The kernel forgets a cut connection; the workspace's next packet must not open it from inside."""
    served.push(1, ("198.18.200.10", "ACCEPT"))
    client = served.outside.connect((served.ip, 22), source="198.18.200.10")
    server, _ = sshd.accept()
    served.push(2)
    served.inside.sh("conntrack", "-D", "-p", "tcp", "--dport", "22")
    server.sendall(b"from inside")
    client.sendall(b"from outside")
    assert heard(server) is None
    assert heard(client) is None
    client.close()
    server.close()


def test_the_loopback_is_open_but_for_the_agents_port(served: Pod) -> None:
    served.push(1)
    with served.inside.listen(9000, "127.0.0.1"):
        served.inside.connect(("127.0.0.1", 9000)).close()
    for address in ("127.0.0.1", "::1", served.ip, served.ip6):
        with pytest.raises(ConnectionRefusedError):
            served.inside.connect((address, 8470))


def test_every_port_follows_the_rules_and_the_agents_is_open_to_all(served: Pod) -> None:
    served.push(1, ("198.18.200.10", "ACCEPT"))
    with served.inside.listen(8888):
        assert knock(served, "198.18.200.10", port=8888) == "ACCEPT"
        assert knock(served, "198.18.200.11", port=8888) == "DROP"
    assert knock(served, "198.18.200.10", port=8889) == "REJECT"  # nobody listens, and the kernel may say so
    assert knock(served, "198.18.200.11", port=8470) == "ACCEPT"


@pytest.mark.parametrize("net", but_first(*FAMILIES))
def test_the_operators_knock_is_answered_without_being_let_in(served: Pod, sshd: socket.socket, net: str) -> None:
    """From the operator's sources, to ssh, where no rule speaks: 'prohibited'. Never for anyone or anything else."""
    served.push(1, (net + "10", "ACCEPT"))
    with served.inside.listen(8888):
        assert knock(served, net + "9") == "PROHIBITED"
        assert knock(served, net + "9", port=8888) == "DROP"
        assert knock(served, net + "11") == "DROP"
    served.push(2, (net + "9", "DROP"))
    assert knock(served, net + "9") == "DROP"


def test_a_pod_is_closed_before_any_push_and_answers_no_knock(served: Pod, sshd: socket.socket) -> None:
    for net in FAMILIES:
        assert {knock(served, net + last) for last in ("9", "10")} == {"DROP"}
    assert not ping(served, "198.18.200.10")


def test_nothing_gets_in_while_rulesets_are_swapped(served: Pod, sshd: socket.socket) -> None:
    """A forbidden source fires SYNs over 60 swaps; another keeps connecting and never fails."""
    hammer = []
    served.push(1, ("198.18.200.11", "ACCEPT"))
    for generation in range(2, 62):
        for _ in range(5):
            sock = served.outside.open(socket.AF_INET, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.bind(("198.18.200.10", 0))
            sock.connect_ex((served.ip, 22))
            hammer.append(sock)
        assert served.push(generation, ("198.18.200.11", "ACCEPT"), (f"203.0.113.{generation}", "DROP")).status == 200
        assert knock(served, "198.18.200.11") == "ACCEPT"
        sshd.accept()[0].close()
    assert not [sock for sock in hammer if _connected(sock)]
    for sock in hammer:
        sock.close()


def _connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def test_path_mtu_errors_count_by_the_connection_that_they_speak_of(served: Pod) -> None:
    """A router, whom no rule names, says 'fragmentation needed' about packets to an accepted or a forbidden peer."""
    server = served.inside.open(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((served.ip, 5000))
    client = served.outside.open(socket.AF_INET, socket.SOCK_DGRAM)
    client.bind(("198.18.200.10", 5001))
    client.connect((served.ip, 5000))
    served.push(1, ("198.18.200.10", "ACCEPT"))
    client.send(b"hello")
    server.connect(server.recvfrom(100)[1])
    server.send(b"reply")
    say_too_big(served, 1300)
    wait_for(lambda: server.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1300)
    served.push(2)
    say_too_big(served, 1100)
    assert server.getsockopt(socket.IPPROTO_IP, IP_MTU) == 1300
    client.close()
    server.close()


def say_too_big(pod: Pod, mtu: int) -> None:
    """ICMP type 3 code 4 about a UDP packet from port 5000 of the pod to 198.18.200.10, port 5001."""
    inner = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 1500, 1, 0x4000, 64, 17, 0,
                        socket.inet_aton(pod.ip), socket.inet_aton("198.18.200.10"))  # fmt: skip
    inner += struct.pack("!HHHH", 5000, 5001, 1480, 0)
    with pod.outside.open(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.bind(("198.18.200.19", 0))
        sock.sendto(checksummed(struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + inner), (pod.ip, 0))
