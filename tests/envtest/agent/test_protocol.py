"""The agent's protocol over real TLS, with the kernel's real tables."""

import json
import socket
import ssl
from collections.abc import Sequence
from typing import Any

import pytest

from berth_core import names
from berth_core.firewall import Rule, compile_ruleset, digest_of

from .certificates import issue
from .pod import Answer, Pod

KEY, OTHER = "ssh-ed25519 AAAAone holder", "ssh-ed25519 AAAAtwo friend"


def body(
    generation: int, *rules: tuple[str, str], epoch: int = 3, keys: Sequence[str] = (), **other: Any
) -> dict[str, Any]:
    ruleset = compile_ruleset([Rule.parse(*rule) for rule in rules], epoch=epoch, generation=generation)
    return {
        "epoch": epoch, "generation": generation, "ruleset": ruleset, "authorizedKeys": list(keys), "notice": "",
        **other,
    }  # fmt: skip


def put(pod: Pod, fields: dict[str, Any]) -> Answer:
    return pod.request("PUT", "/v1/state", json.dumps(fields))


def test_a_push_puts_ruleset_keys_and_notice_in_force(served: Pod) -> None:
    wanted = body(1, ("198.18.200.10", "ACCEPT"), keys=[KEY, OTHER], notice="Mind the robot.\n")
    answer = put(served, wanted)
    assert answer == (200, {"epoch": 3, "generation": 1, "digest": digest_of(wanted["ruleset"])})
    assert served.request("GET", "/v1/state") == answer
    assert f'comment "berth e3 g1 {digest_of(wanted["ruleset"])}"' in served.table()
    assert served.keys() == f"{KEY}\n{OTHER}\n"
    assert (served.run / "notice").read_text() == "Mind the robot.\n"
    assert (served.run / "authorized_keys").stat().st_mode & 0o777 == 0o644


def test_a_repeated_push_is_the_same_push_and_its_keys_are_put_right(served: Pod) -> None:
    first = put(served, body(1, keys=[KEY]))
    (served.run / "authorized_keys").unlink()
    assert put(served, body(1, keys=[KEY])) == first
    assert served.keys() == f"{KEY}\n"


def test_an_older_generation_is_refused_with_what_is_in_force(served: Pod) -> None:
    newest = put(served, body(5, ("198.18.200.10", "ACCEPT"), keys=[KEY]))
    for stale in (body(4, ("0.0.0.0/0", "ACCEPT"), keys=[OTHER]), body(0, keys=[OTHER])):
        assert put(served, stale) == (409, newest.fields)
    assert "0.0.0.0/0" not in served.table()
    assert served.keys() == f"{KEY}\n"


def test_the_same_generation_with_another_ruleset_is_refused(served: Pod) -> None:
    newest = put(served, body(5, ("198.18.200.10", "ACCEPT")))
    assert put(served, body(5, ("198.18.200.11", "ACCEPT"))) == (409, newest.fields)


@pytest.mark.parametrize("epoch", [2, 4])
def test_another_epoch_is_refused(served: Pod, epoch: int) -> None:
    assert put(served, body(9, epoch=epoch)).status == 403
    assert "g0" in served.table()


def test_a_ruleset_that_nft_refuses_changes_nothing(served: Pod) -> None:
    before = put(served, body(1, ("198.18.200.10", "ACCEPT"), keys=[KEY, OTHER]))
    table = served.table()
    broken = compile_ruleset([], epoch=3, generation=2).replace("policy drop;", "policy perhaps;")
    stamped = broken.replace(digest_of(compile_ruleset([], epoch=3, generation=2)), digest_of(broken))
    answer = put(served, body(2, keys=[OTHER], ruleset=stamped))
    assert answer.status == 422
    assert "perhaps" in answer.fields["error"] or "syntax" in answer.fields["error"]
    assert served.table() == table
    assert served.keys() == f"{KEY}\n{OTHER}\n"
    assert served.request("GET", "/v1/state") == before
    assert put(served, body(2)).status == 200


@pytest.mark.parametrize(
    "wrong",
    [
        b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"epoch": 3}',
        json.dumps(body(1, epoch=3) | {"epoch": "3"}), json.dumps(body(1) | {"epoch": True}),
        json.dumps(body(1) | {"generation": -1}), json.dumps(body(1) | {"generation": 2}),
        json.dumps(body(1) | {"ruleset": "table inet berth {}"}), json.dumps(body(1) | {"ruleset": None}),
        json.dumps(body(1) | {"authorizedKeys": "key"}), json.dumps(body(1) | {"authorizedKeys": ["a\nb"]}),
        json.dumps(body(1) | {"authorizedKeys": [""]}), json.dumps(body(1) | {"authorizedKeys": ["k"] * 1000}),
        json.dumps(body(1) | {"notice": 1}), json.dumps(body(1) | {"notice": "\ud800"}),
        '{"epoch": ' + "9" * 5000 + "}",
    ],
)  # fmt: skip
def test_a_malformed_body_is_refused_and_the_agent_goes_on(served: Pod, wrong: bytes | str) -> None:
    answer = served.request("PUT", "/v1/state", wrong)
    assert answer.status == 400
    assert answer.fields["error"]
    assert served.request("GET", "/v1/state").fields["generation"] == 0


def test_unknown_fields_of_a_newer_operator_are_left_aside(served: Pod) -> None:
    assert put(served, body(1, later="more")).status == 200


def test_unknown_routes_and_methods_are_named_so(served: Pod) -> None:
    assert served.request("GET", "/").status == 404
    assert served.request("POST", "/v1/state", "{}").status == 405
    assert served.request("GET", "/v1/listening?port=x").status == 400
    assert served.request("GET", "/v1/listening?port=22&wait=nan").status == 400
    assert served.request("GET", "/v1/listening?port=70000").status == 400


def raw(pod: Pod, text: bytes) -> tuple[str, bool]:
    """Status line of the answer to raw bytes, and whether the agent closed."""
    with pod.tls() as tls:
        tls.settimeout(5)
        tls.sendall(text)
        answer = b""
        while chunk := tls.recv(4096):
            answer += chunk
            if b"keep-alive" in answer:
                return answer.split(b"\r\n")[0].decode(), False
        return answer.split(b"\r\n")[0].decode(), True


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET /v1/state HTTP/1.0\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\n\r\n", 400),
        (b"GET /v1/state HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"PUT /v1/state HTTP/1.1\r\n\r\n", 411),
        (b"PUT /v1/state HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"PUT /v1/state HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"PUT /v1/state HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"PUT /v1/state HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n", 413),
        (b"PUT /v1/state HTTP/1.1\r\nContent-Length: " + b"9" * 4000 + b"\r\n\r\n", 413),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 3000 + b"\r\n", 431),
    ],
)
def test_what_is_no_request_gets_one_answer_and_is_closed(served: Pod, text: bytes, status: int) -> None:
    line, closed = raw(served, text)
    assert line.startswith(f"HTTP/1.1 {status} ")
    assert closed


def test_a_connection_serves_many_requests_also_sent_ahead(served: Pod) -> None:
    one = b"GET /v1/state HTTP/1.1\r\nHost: x\r\n\r\n"
    with served.tls() as tls:
        tls.settimeout(5)
        tls.sendall(one + one + one.replace(b"Host: x", b"Connection: close"))
        answer = b""
        while chunk := tls.recv(4096):
            answer += chunk
    assert answer.count(b"HTTP/1.1 200 OK") == 3


def test_a_client_that_waits_for_100_continue_is_told_to_go_on(served: Pod) -> None:
    content = json.dumps(body(1)).encode()
    head = f"PUT /v1/state HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {len(content)}\r\n\r\n"
    with served.tls() as tls:
        tls.settimeout(5)
        tls.sendall(head.encode())
        assert tls.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        tls.sendall(content)
        assert tls.recv(4096).startswith(b"HTTP/1.1 200 OK")


def test_only_the_operators_certificate_counts(served: Pod) -> None:
    """Another agent's certificate is of the same CA; a stranger's has the right name and another CA."""
    agents = issue(names.agent_dns("i-other", 1), served.ca, client=True).files(served.folder, "neighbour")
    with served.tls(agents) as tls:
        assert tls.recv(4096).startswith(b"HTTP/1.1 403 ")
    stranger = issue(names.OPERATOR_DNS, issue("Another CA"), client=True).files(served.folder, "stranger")
    servers = issue(names.OPERATOR_DNS, served.ca).files(served.folder, "server")
    for client in (stranger, servers):
        with served.tls(client) as tls:
            assert answer_of(tls) == b""


@pytest.mark.parametrize("setting", ["no certificate", "TLS 1.2"])
def test_a_client_without_certificate_or_with_old_tls_gets_nowhere(served: Pod, setting: str) -> None:
    context = ssl.create_default_context(cafile=str(served.secret / "ca.crt"))
    if setting == "TLS 1.2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(*served.operator)
    with served.outside.connect((served.ip, 8470), timeout=10) as sock:
        assert answer_of(sock, context, served.dns) == b""


def answer_of(sock: socket.socket, context: ssl.SSLContext | None = None, name: str = "") -> bytes:
    """Answer to a request; empty where the agent ends the connection."""
    try:
        tls = context.wrap_socket(sock, server_hostname=name) if context else sock
        tls.sendall(b"GET /v1/state HTTP/1.1\r\n\r\n")
        return tls.recv(4096)
    except (ssl.SSLError, ConnectionError):
        return b""


def test_listening_waits_for_a_socket_that_others_can_reach(served: Pod) -> None:
    ask = "/v1/listening?port=2222&wait="
    assert served.request("GET", ask + "0").fields == {"listening": False}
    with served.inside.listen(2222, "127.0.0.1"):
        assert served.request("GET", ask + "0.1").fields == {"listening": False}
    with served.inside.listen(2222, "0.0.0.0"):  # noqa: S104 (as sshd does)
        assert served.request("GET", ask + "0").fields == {"listening": True}
    with served.tls() as tls:
        tls.settimeout(5)
        tls.sendall(f"GET {ask}5 HTTP/1.1\r\n\r\n".encode())
        assert served.request("GET", "/v1/state").status == 200  # others are served meanwhile
        with served.inside.listen(2222):
            assert b'{"listening": true}' in tls.recv(4096)


def test_listening_is_seen_among_many_connections(served: Pod) -> None:
    """The kernel's table is read up to its last listening socket, however many connections follow."""
    served.push(1, ("198.18.200.10", "ACCEPT"))
    with served.inside.listen(22) as listener:
        pairs = [
            (served.outside.connect((served.ip, 22), source="198.18.200.10"), listener.accept()[0]) for _ in range(200)
        ]
        assert served.request("GET", "/v1/listening?port=22").fields == {"listening": True}
        listener.close()
        assert served.request("GET", "/v1/listening?port=22").fields == {"listening": False}
        for sock in (sock for pair in pairs for sock in pair):
            sock.close()


def test_keys_are_in_no_log_line(served: Pod) -> None:
    put(served, body(1, keys=[KEY]))
    put(served, body(1, keys=[KEY], notice=7))
    assert "AAAA" not in served.log.read_text()
    assert "PRIVATE" not in served.log.read_text()
    assert served.log.stat().st_size


def test_a_dead_operator_connection_does_not_hold_the_agent(served: Pod) -> None:
    """Half a request, then nothing: others are served at once."""
    with served.tls() as tls:
        tls.sendall(b"PUT /v1/state HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")
        assert served.request("GET", "/v1/state").status == 200
        tls.shutdown(socket.SHUT_RDWR)
    assert served.request("GET", "/v1/state").status == 200
