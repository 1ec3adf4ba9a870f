"""A pod without an agent, whose NetworkPolicy comes in force late: real packets, judged by the kernel outside of it.

The enforcer is a table in the network namespace around the pod, which accepts established connections as enforcers do.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from promised import promised

from berth_operator.enforcement.wall import Canary, stands
from berth_operator.podspec.wall import CANARY_PORT, CONTROL_PORT, PROGRAM

from .pod import Pod
from .test_firewall import SILENCE

ROBOT, ROBOT6 = "192.0.2.40", "2001:db8:7::40"
CANARY, CANARY6 = "198.18.200.10", "2001:db8:200::10"
PORT = 8000
LATE = 2.0
"""Seconds after which the policy is in force."""
TABLE = """
table {family} late {{
    chain input {{
        type filter hook input priority 0; policy accept;
        ct state established,related accept
        meta l4proto ipv6-icmp accept
        tcp dport {control} accept
        iifname "out0" {verdict}
    }}
}}
"""


@pytest.fixture
def around(pod: Pod) -> Iterator[Pod]:
    """A pod with a robot and the canary in reach, before any wall is there."""
    for address, via in ((ROBOT, CANARY), (ROBOT6, CANARY6)):
        pod.outside.sh("ip", "address", "add", address, "dev", "lo")
        pod.inside.sh("ip", "route", "add", address, "via", via)
    command = [sys.executable, "-m", "berth_operator.enforcement.canary", str(CONTROL_PORT), str(CANARY_PORT)]
    canary = subprocess.Popen(["nsenter", f"--net=/run/netns/{pod.outside.name}", *command])
    try:
        with pod.outside.listen(PORT):
            yield pod
    finally:
        canary.kill()
        canary.wait()


def comes_in_force(pod: Pod, family: str, verdict: str = "drop") -> None:
    text = TABLE.format(family=family, control=CONTROL_PORT, verdict=verdict)
    name = f"--net=/run/netns/{pod.outside.name}"
    subprocess.run(["nsenter", name, "nft", "-f", "-"], input=text, text=True, check=True, timeout=10)


def begun(pod: Pod, seconds: int, *addresses: str) -> subprocess.Popen[str]:
    """The program, with the words that the container has, in the pod."""
    words = [*PROGRAM[1:], str(seconds), str(CONTROL_PORT), str(CANARY_PORT), *addresses]
    command = ["nsenter", f"--net=/run/netns/{pod.inside.name}", sys.executable, *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def reaches(pod: Pod, address: str) -> bool:
    try:
        pod.inside.connect((address, PORT), timeout=SILENCE).close()
    except OSError:
        return False
    return True


def waits(process: subprocess.Popen[str], seconds: float) -> bool:
    """Whether it has not ended after that time."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return True
    return False


@pytest.mark.parametrize("verdict", ["drop", "reject"])
def test_nothing_of_a_user_s_runs_before_a_wall_that_comes_late(around: Pod, verdict: str) -> None:
    with begun(around, 60, CANARY) as process:
        assert waits(process, LATE)
        assert reaches(around, ROBOT), "a container that had begun would have got out"
        comes_in_force(around, "ip", verdict)
        assert process.wait(20) == 0
        assert not reaches(around, ROBOT)


@pytest.mark.alone
@pytest.mark.parametrize("verdict", ["drop", "reject"])
def test_before_a_wall_that_stands_it_takes_less_than_a_second(around: Pod, verdict: str) -> None:
    with begun(around, 60, CANARY) as process:
        comes_in_force(around, "ip", verdict)
        assert process.wait(20) == 0, "the canary answers by now"
    canary = Canary(CANARY, CONTROL_PORT, CANARY_PORT)
    before = time.monotonic()
    assert around.inside.call(lambda: asyncio.run(stands([canary], 10))) == ""
    took = time.monotonic() - before
    print(f"{verdict}: {took:.2f} s")  # noqa: T201 (the figure)
    assert took < promised(1)


def test_a_wall_of_one_ip_version_is_not_taken_for_both(around: Pod) -> None:
    with begun(around, 60, CANARY, CANARY6) as process:
        comes_in_force(around, "ip")
        assert waits(process, LATE)
        assert reaches(around, ROBOT6)
        comes_in_force(around, "ip6")
        assert process.wait(20) == 0
        assert not any(reaches(around, robot) for robot in (ROBOT, ROBOT6))


def test_a_wall_that_never_comes_is_a_failure_with_a_sentence(around: Pod) -> None:
    with begun(around, 2, CANARY) as process:
        _, words = process.communicate(timeout=20)
        assert process.returncode == 1
        assert f"no NetworkPolicy kept the pod from {CANARY} port {CANARY_PORT}" in words


def test_a_pod_without_any_network_is_not_taken_for_one_with_a_wall(around: Pod) -> None:
    around.inside.sh("ip", "link", "set", "eth0", "down")
    with begun(around, 2, CANARY) as process:
        _, words = process.communicate(timeout=20)
        assert process.returncode == 1
        assert "it is not known whether NetworkPolicy keeps the pod from machines" in words
