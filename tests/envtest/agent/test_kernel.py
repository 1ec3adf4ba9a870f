"""The agent and the kernel, which is asked anew each time. A transaction that is held leaves nothing in doubt."""

import json
import signal
import ssl
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from berth_core.firewall import digest_of

from .held import Hold, Moment
from .pod import Answer, Pod, running, wait_for

GET = ("GET", "/v1/state")
OLD, BOTH, NEW = (f"ssh-ed25519 AAAA{name}" for name in ("old", "both", "new"))
NO_ANSWER = (ConnectionError, ssl.SSLError)


@contextmanager
def held_push(pod: Pod, moment: Moment) -> Iterator[tuple[Hold, Future[Answer]]]:
    """Push generation 2, with other keys than 1, to a new agent whose transaction is held; in the end it is over."""
    assert pod.push(1, keys=[OLD, BOTH]).status == 200
    pod.stop()
    hold = Hold(pod, moment)
    pod.start()
    hold.begin()
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(pod.push, 2, ("198.18.200.10", "ACCEPT"), keys=[BOTH, NEW])
        wait_for(lambda: pod.keys() == f"{BOTH}\n" and f" g{1 if moment == 'before' else 2} " in pod.table())
        yield hold, answer


def has_given_up(pod: Pod) -> bool:
    """Wait until the agent has ended; whether it did so by itself, and said why."""
    return running(pod).wait(timeout=60) == 1 and pod.logged("nftables did not answer") != []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_keys_are_revoked_before_and_granted_after_the_rules_change(served: Pod, moment: Moment) -> None:
    with held_push(served, moment) as (hold, answer):
        assert served.keys() == f"{BOTH}\n"
        hold.end()
    assert answer.result().status == 200
    assert served.keys() == f"{BOTH}\n{NEW}\n"
    assert " g2 " in served.table()


def test_a_push_that_the_kernel_does_not_take_in_time_ends_the_agent_and_the_next_one_undoes_it(served: Pod) -> None:
    with held_push(served, "before") as (hold, answer):
        assert has_given_up(served)
        hold.end()
    with pytest.raises(NO_ANSWER):
        answer.result()
    assert served.keys() == f"{BOTH}\n"
    assert " g1 " in served.table()
    served.start()
    assert served.request(*GET).fields["generation"] == 1
    assert served.keys() == f"{OLD}\n{BOTH}\n"
    assert served.push(2, keys=[NEW]).status == 200


@pytest.mark.release(
    twin="tests/envtest/agent/test_kernel.py::test_a_push_that_the_kernel_does_not_take_in_time_ends_the_agent_and_the_next_one_undoes_it"
)
def test_a_push_that_the_kernel_took_without_an_answer_ends_the_agent_and_the_next_one_finishes_it(
    served: Pod,
) -> None:
    with held_push(served, "after") as (hold, answer):
        assert has_given_up(served)
        hold.end()
    with pytest.raises(NO_ANSWER):
        answer.result()
    assert served.keys() == f"{BOTH}\n"
    served.start()
    assert served.request(*GET).fields["generation"] == 2
    assert served.keys() == f"{BOTH}\n{NEW}\n"


def test_a_stop_is_heard_while_the_kernel_does_not_answer(served: Pod) -> None:
    with held_push(served, "before"):
        served.stop()
    assert running(served).returncode == 0


def test_the_first_ruleset_that_is_held_starts_no_workspace(pod: Pod) -> None:
    Hold(pod, "before").begin()
    workspace = pod.waits()
    pod.start()
    assert has_given_up(pod)
    assert workspace.poll() is None
    assert pod.table() == ""
    workspace.kill()
    workspace.wait()


def test_an_agent_without_the_library_ends_with_one_clear_line(pod: Pod) -> None:
    (pod.folder / "libnftables.so.1").touch()
    pod.variables = {"LD_LIBRARY_PATH": str(pod.folder)}
    pod.start()
    assert running(pod).wait(timeout=60) == 1
    (line,) = pod.log.read_text().splitlines()
    assert "libnftables.so.1" in json.loads(line)["message"]


PIDS = next(path for path in (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup")) if (path / "cgroup.procs").exists())


def test_a_holder_who_uses_up_the_processes_of_the_pod_does_not_keep_new_rules_out(served: Pod) -> None:
    group = PIDS / f"berth-test-{running(served).pid}"
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(running(served).pid))
        (group / "pids.max").write_text("0")
        assert served.push(1).status == 200
        assert served.request(*GET).fields["generation"] == 1
    finally:
        served.stop(signal.SIGKILL)
        group.rmdir()


def by_hand(pod: Pod, ruleset: str) -> None:
    """Load a ruleset with the nft command."""
    file = pod.folder / "by-hand.nft"
    file.write_text(ruleset)
    pod.inside.sh("nft", "-f", str(file))


def test_the_agent_tells_the_state_of_the_kernel_whoever_changes_it(served: Pod) -> None:
    assert served.push(1).status == 200
    by_hand(served, served.ruleset(9))
    assert served.request(*GET).fields == {"epoch": 3, "generation": 9, "digest": digest_of(served.ruleset(9))}
    assert served.push(8).status == 409
    served.inside.sh("nft", "flush", "ruleset")
    assert served.request(*GET).status == 503
    by_hand(served, served.ruleset(2))
    assert served.request(*GET).fields["generation"] == 2


def test_the_agent_makes_the_table_that_the_nft_command_makes(served: Pod) -> None:
    sources = (f"203.0.113.{n}" if n % 4 else f"2001:db8:{n:x}::/48" for n in range(200))
    rules = [(source, ("ACCEPT", "DROP", "REJECT")[n % 3]) for n, source in enumerate(sources)]
    assert served.push(1, *rules).status == 200
    table = served.table()
    served.inside.sh("nft", "flush", "ruleset")
    by_hand(served, served.ruleset(1, *rules))
    assert served.table() == table
    assert table.count("203.0.113.") >= 100


def test_a_complaint_is_cut_after_2000_characters(served: Pod) -> None:
    good = served.ruleset(1)
    bad = good.replace("policy drop;", f"policy drop; {'x' * 5000}")
    stamped = bad.replace(digest_of(good), digest_of(bad))
    body = {"epoch": 3, "generation": 1, "ruleset": stamped, "authorizedKeys": [], "notice": ""}
    answer = served.request("PUT", "/v1/state", json.dumps(body))
    assert answer.status == 422
    assert answer.fields["error"].startswith("Error: ")
    assert len(answer.fields["error"]) == 2000
