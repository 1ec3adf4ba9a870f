"""Starting, stopping and being killed: the door is shut first, and what is in force stays in force."""

import http.client
import json
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest
from promised import promised

from berth_core.firewall import closed_ruleset

from .pod import Answer, Pod, running

GET = ("GET", "/v1/state")


def test_the_door_is_shut_and_stays_so_without_the_agent(pod: Pod) -> None:
    pod.close_door()
    assert 'comment "berth e3 g0 ' in pod.table()
    assert pod.keys() == "ssh-ed25519 AAAAinitial holder\n"
    assert (pod.run / "notice").read_text() == "Welcome.\n"
    with pod.inside.listen(22), pytest.raises(TimeoutError):
        pod.outside.connect((pod.ip, 22), timeout=0.2)


def test_the_workspace_starts_when_this_agent_has_shut_the_door_and_not_at_an_earlier_ones_word(pod: Pod) -> None:
    first = pod.waits()
    pod.start()
    assert first.wait(timeout=60) == 0
    pod.stop(signal.SIGKILL)
    pod.start()  # its word is there, and nobody has read it
    pod.stop(signal.SIGKILL)
    second = pod.waits()
    with pytest.raises(subprocess.TimeoutExpired):
        second.wait(timeout=0.5)
    pod.start()
    assert second.wait(timeout=60) == 0


def test_an_agent_that_dies_before_it_has_shut_the_door_starts_no_workspace(pod: Pod) -> None:
    pod.write_initial(4, closed_ruleset(4), [])
    waits = pod.waits()
    pod.start()
    assert running(pod).wait(timeout=60) == 1
    with pytest.raises(subprocess.TimeoutExpired):
        waits.wait(timeout=0.5)
    waits.kill()
    waits.wait()


def test_without_a_ruleset_the_agent_says_so_and_takes_a_push(served: Pod) -> None:
    served.inside.sh("nft", "delete", "table", "inet", "berth")
    assert served.request(*GET).status == 503
    try:
        assert served.push(4, keys=["ssh-ed25519 AAAApushed"]).status == 200
    except TimeoutError:
        # The kernel tracks no connection without a table, and may drop one that the new table finds. The operator, too,
        # pushes again then.
        assert served.push(4, keys=["ssh-ed25519 AAAApushed"]).status == 200
    assert served.request(*GET).fields["generation"] == 4
    assert served.keys() == "ssh-ed25519 AAAApushed\n"


def test_an_agent_that_starts_again_leaves_what_is_in_force(served: Pod) -> None:
    served.push(7, ("198.18.200.10", "ACCEPT"), keys=["ssh-ed25519 AAAAseven"])
    table = served.table()
    served.stop(signal.SIGKILL)
    served.start()
    assert served.logged("a ruleset is in force already")
    assert served.table() == table
    assert served.keys() == "ssh-ed25519 AAAAseven\n"


def test_a_new_network_namespace_starts_closed_though_the_state_is_old(served: Pod) -> None:
    """A sandbox that was made again has no table; what was applied before is on file and must not open anything."""
    served.push(7, ("198.18.200.10", "ACCEPT"), keys=["ssh-ed25519 AAAAseven"])
    served.stop(signal.SIGKILL)
    served.inside.sh("nft", "delete", "table", "inet", "berth")
    served.start()
    assert served.request(*GET).fields["generation"] == 0
    assert served.push(7, ("198.18.200.10", "ACCEPT")).status == 200


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (lambda pod: pod.write_initial(4, closed_ruleset(4), []), "epoch"),
        (lambda pod: (pod.secret / "initial.json").unlink(), "initial.json"),
        (lambda pod: (pod.secret / "initial.json").write_text("{"), "JSON"),
        (lambda pod: (pod.secret / "tls.crt").write_text("no certificate"), ""),
        (lambda pod: (pod.secret / "tls.crt").write_bytes((pod.secret / "ca.crt").read_bytes()), "DNS name"),
    ],
)
def test_closing_with_a_broken_secret_fails_in_one_clear_line(
    pod: Pod, broken: Callable[[Pod], object], says: str
) -> None:
    broken(pod)
    pod.start()
    assert running(pod).wait(timeout=60) == 1
    (line,) = pod.log.read_text().splitlines()
    assert json.loads(line)["level"] == "error"
    assert says in json.loads(line)["message"]
    assert pod.table() == ""


def test_a_taken_port_ends_the_server_in_one_clear_line(pod: Pod) -> None:
    with pod.inside.listen(8470):
        pod.start()
        assert running(pod).wait(timeout=60) == 1
    closed, line = pod.log.read_text().splitlines()
    assert json.loads(closed)["event"] == "closed"
    assert "port 8470 cannot be bound, is it taken in this pod?" in json.loads(line)["message"]


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_agent_that_ends_leaves_the_last_ruleset_and_its_successor_knows_it(
    served: Pod, number: signal.Signals
) -> None:
    answer = served.push(7, ("198.18.200.10", "ACCEPT"), keys=["ssh-ed25519 AAAAseven"])
    held = served.tls()  # an open connection must not keep the port, nor the process
    table = served.table()
    took = served.stop(number)
    assert took < promised(0.5)
    assert served.table() == table
    with served.inside.listen(22):
        served.outside.connect((served.ip, 22), source="198.18.200.10").close()
        with pytest.raises(TimeoutError):
            served.outside.connect((served.ip, 22), source="198.18.200.11", timeout=0.2)
    served.start()
    held.close()
    assert served.request(*GET) == answer
    assert served.push(6).status == 409
    assert served.keys() == "ssh-ed25519 AAAAseven\n"


@pytest.mark.alone
def test_a_stop_is_heard_while_requests_wait(served: Pod) -> None:
    with served.tls() as tls:
        tls.sendall(b"GET /v1/listening?port=9&wait=10 HTTP/1.1\r\n\r\n")
        assert served.request(*GET).status == 200
        assert served.stop() < promised(0.5)
    assert running(served).returncode == 0


def test_killed_at_any_moment_of_a_push_the_pair_of_rules_and_keys_is_whole(served: Pod) -> None:
    """Pushes stream in; the agent is killed somewhere in them, restarted, and must show one push in full."""
    moment = random.Random(11)  # noqa: S311 (repeatable on purpose)
    generation, acknowledged, sent = 0, 0, {0: "ssh-ed25519 AAAAinitial holder\n"}
    for _ in range(12):
        process = running(served)
        timer = threading.Timer(moment.uniform(0.0, 0.12), process.send_signal, (signal.SIGKILL,))
        timer.start()
        while process.poll() is None:
            generation += 1
            sent[generation] = f"ssh-ed25519 AAAA{generation}\n"
            try:
                rule = (f"203.0.113.{generation % 250}", "ACCEPT")
                answer = served.push(generation, rule, keys=[sent[generation].strip()])
            except (OSError, http.client.HTTPException):
                break
            assert answer.status == 200
            acknowledged = generation
        timer.join()
        process.wait(timeout=60)
        served.start()
        now = served.request(*GET)
        assert now.status == 200
        shown = now.fields["generation"]
        assert shown >= acknowledged
        assert served.keys() == sent[shown]
        assert (shown == 0) or f"203.0.113.{shown % 250}" in served.table()
        assert not (served.state / "pending.json").exists()


def memory(pod: Pod) -> float:
    """Resident memory in MiB."""
    with open(f"/proc/{running(pod).pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


@pytest.mark.parametrize(
    "python", sorted({sys.executable, shutil.which("python3", path="/usr/bin:/bin") or sys.executable})
)
def test_the_agent_stays_below_25_mb(pod: Pod, python: str) -> None:
    pod.start(python=python)
    for generation in range(1, 20):
        assert pod.push(generation, *((f"203.0.{generation}.{n}", "ACCEPT") for n in range(100))).status == 200
    assert memory(pod) <= 25


def test_a_holder_who_floods_from_inside_reaches_nothing(served: Pod) -> None:
    """Root in the same namespace, on every address there is: the kernel refuses before the agent hears of it."""
    for _ in range(100):
        for address in ("127.0.0.1", "::1", served.ip, served.ip6):
            with pytest.raises(ConnectionRefusedError):
                served.inside.connect((address, 8470))
    assert served.push(1).status == 200


@pytest.mark.alone
def test_strangers_who_flood_from_outside_do_not_keep_the_operator_out(served: Pod) -> None:
    """Half-open handshakes, garbage and connects without end; each push still gets through, and memory stays."""
    stop = threading.Event()

    def flood(content: bytes) -> None:
        held = []
        while not stop.is_set():
            try:
                sock = served.outside.connect((served.ip, 8470), source="198.18.200.15", timeout=1)
                sock.sendall(content)
                held.append(sock)
            except OSError:
                continue
            if len(held) > 40:
                held.pop(0).close()
        for sock in held:
            sock.close()

    contents = (b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)) * 64)
    floods = [threading.Thread(target=flood, args=(content,)) for content in contents]
    for thread in floods:
        thread.start()
    try:
        for generation in range(1, 11):
            began = time.monotonic()
            answer = push_with_patience(served, generation)
            assert answer.status == 200
            assert time.monotonic() - began < min(promised(10), 25)
    finally:
        stop.set()
        for thread in floods:
            thread.join()
    assert running(served).poll() is None
    assert memory(served) <= 25
    assert len(served.log.read_text().splitlines()) < 60


def push_with_patience(pod: Pod, generation: int) -> Answer:
    """A flood may cost a connection; the operator tries again, as it does for any agent out of reach."""
    for _ in range(20):
        try:
            return pod.push(generation)
        except OSError:
            continue
    pytest.fail("no push got through")


def test_the_operators_open_connections_make_room_for_new_ones(served: Pod) -> None:
    held = [served.tls() for _ in range(30)]
    assert served.request(*GET).status == 200
    for tls in held:
        tls.close()
