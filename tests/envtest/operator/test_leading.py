"""Two replicas: one leads, the other takes over."""

import asyncio
import json
import signal
import subprocess
import time
import urllib.request
from urllib.error import HTTPError

import pytest
from forked import Process
from promised import promised

from berth_core import names
from berth_operator.leadership.leading import LEASE_SECONDS, RENEW_SECONDS

from .lab import INSTANCES, LEASES, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver

MOST_SECONDS = LEASE_SECONDS + promised(3)
HANDED_OVER_SECONDS = min(promised(3), LEASE_SECONDS - RENEW_SECONDS - 0.5)
"""Less than it takes where the lease has to run out."""


async def leader(lab: Lab, *, other_than: str = "", seconds: float = 20) -> str:
    """Identity of the replica that leads."""
    lease = await lab.until(
        LEASES,
        "berth-operator",
        lambda o: o["spec"].get("holderIdentity") not in ("", None, other_than),
        seconds=seconds,
        namespace=lab.namespaces.release,
    )
    return str(lease["spec"]["holderIdentity"])


def process_of(operators: Operators, identity: str) -> Process:
    return operators.running[int(identity.split("_")[0].removeprefix("operator-"))]


async def pair(lab: Lab, operators: Operators) -> str:
    """Two replicas that run and one that leads; the leader's identity."""
    operators.start()
    operators.start()
    await asyncio.gather(*(asyncio.to_thread(ready, port) for port in operators.ports))
    return await leader(lab)


def ready(port: int) -> None:
    """Wait until a replica answers that it is ready."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if json.loads(urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).read())["watching"]:
                return
        except (HTTPError, OSError):
            time.sleep(0.02)  # no socket yet: nothing to wait on
    raise AssertionError("the operator never became ready")


@pytest.mark.release(twin="tests/e2e/test_exclusive.py::test_an_operator_killed_while_it_launches_loses_nothing")
@pytest.mark.alone
async def test_another_takes_over_within_ten_seconds_of_a_kill_and_finishes_what_was_begun(
    lab: Lab, operators: Operators
) -> None:
    first = await pair(lab, operators)
    await lab.type()
    await lab.deployment("one")
    await lab.instance("mine", workspaceType="bench")
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True")
    process_of(operators, first).send_signal(signal.SIGKILL)
    killed = time.monotonic()
    await lab.client.patch(INSTANCES, lab.namespace, "mine", {"spec": {"terminate": True}})
    second = await leader(lab, other_than=first, seconds=promised(20))
    assert time.monotonic() - killed <= MOST_SECONDS
    assert process_of(operators, second).poll() is None
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Ended", "status") == "True")
    assert await lab.lease("one") is None


@pytest.mark.alone
async def test_a_replica_that_is_told_to_stop_hands_over_at_once(lab: Lab, operators: Operators) -> None:
    first = await pair(lab, operators)
    process = process_of(operators, first)
    process.send_signal(signal.SIGTERM)
    told = time.monotonic()
    await leader(lab, other_than=first)
    assert time.monotonic() - told <= HANDED_OVER_SECONDS
    assert await asyncio.to_thread(process.wait, 10) == 0


async def test_a_leader_that_was_stopped_too_long_writes_no_more(lab: Lab, operators: Operators) -> None:
    first = await pair(lab, operators)
    stopped = process_of(operators, first)
    stopped.send_signal(signal.SIGSTOP)
    second = await leader(lab, other_than=first)
    await lab.type()
    await lab.deployment("one")
    stopped.send_signal(signal.SIGCONT)
    await lab.instance("mine", workspaceType="bench")
    await lab.until(INSTANCES, "mine", lambda o: condition(o, "Bound", "status") == "True")
    assert await leader(lab) == second
    assert await asyncio.to_thread(still_running, stopped)


def still_running(process: Process) -> bool:
    """Whether it goes on as the one that waits."""
    try:
        process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        return True
    return False


async def test_only_the_leader_says_that_it_leads(lab: Lab, operators: Operators) -> None:
    first = await pair(lab, operators)
    # It says so before its first pass, and only after one is a deployment shown as free.
    await lab.type()
    await lab.deployment("one")
    for number, port in enumerate(operators.ports):
        answer = await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{port}/metrics", None, 5)
        leads = first.startswith(f"operator-{number}_")
        assert f"berth_operator_leading {1.0 if leads else 0.0}" in answer.read().decode()


async def test_an_operator_does_not_run_where_a_newer_one_has_led(lab: Lab, operators: Operators) -> None:
    newer = {"berth.dev/protocol": str(names.PROTOCOL + 1)}
    metadata = {"name": "berth-operator", "annotations": newer}
    body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
    await lab.client.create(LEASES, lab.namespaces.release, body)
    operator = operators.start()
    assert await asyncio.to_thread(operator.wait, 60) == 1
    last = (operators.folder / "operator-0.log").read_text().splitlines()[-1]
    assert f"protocol {names.PROTOCOL + 1}" in last
    assert "run that version" in last


async def test_a_leader_says_which_protocol_it_speaks(lab: Lab, operators: Operators) -> None:
    operators.start()
    await leader(lab, seconds=60)
    lease = await lab.client.get(LEASES, lab.namespaces.release, "berth-operator")
    assert lease["metadata"]["annotations"]["berth.dev/protocol"] == str(names.PROTOCOL)
