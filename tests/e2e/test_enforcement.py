"""Whether NetworkPolicy is enforced: the probe's word with the cluster's enforcer, and without it."""

import time

import pytest
from lab import NAMESPACE, Lab

from berth_dev.cluster.network import NODES
from berth_dev.envtest.testing import BerthCluster
from berth_dev.processes import Identity

pytestmark = [pytest.mark.nodes, pytest.mark.release(twin="tests/envtest/operator/test_enforcement.py")]

TYPE = "bench-arm"
SAYS_SO = "condition=NetworkPolicyEnforced"
PROBE_SECONDS = 90
REASON = "jsonpath={.status.conditions[?(@.type=='NetworkPolicyEnforced')].reason}"


def other_operators(lab: Lab) -> None:
    """Delete the operators, so that one that begins to lead probes again."""
    lab.kubectl("delete", "pods", "-n", "berth", "-l", "app.kubernetes.io/component=operator", "--wait=false")


def ended(process: Identity | None) -> None:
    """Wait until a process is gone."""
    until = time.monotonic() + 20
    while process is not None and process.alive():
        assert time.monotonic() < until, "the enforcer goes on"
        time.sleep(0.05)


def told(lab: Lab, reason: str, word: str) -> None:
    """Look until an Event tells of something: it comes after the status that says so."""
    until = time.monotonic() + 15
    while word not in lab.kubectl("get", "events", "-n", NAMESPACE, f"--field-selector=reason={reason}"):
        assert time.monotonic() < until, f"no Event tells of {word}: {reason}"


def test_the_probe_says_whether_the_enforcer_is_there(lab: Lab, cluster: BerthCluster) -> None:
    lab.wait(f"wt/{TYPE}", SAYS_SO, seconds=PROBE_SECONDS)
    specs = [cluster.state / "processes" / f"{node.name}-kube-router.json" for node in NODES]
    written = [path.read_text(encoding="utf-8") for path in specs]
    running = [Identity.load(cluster.state / "pids" / path.stem) for path in specs]
    for path in specs:
        path.unlink()
    try:
        for process in running:
            ended(process)
        other_operators(lab)
        lab.wait(f"wt/{TYPE}", f"{SAYS_SO}=False", seconds=PROBE_SECONDS)
        assert lab.kubectl("get", "wt", TYPE, "-n", NAMESPACE, "-o", REASON) == "NotEnforced"
        lab.kubectl("wait", f"wt/{TYPE}", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=5s")
    finally:
        for path, text in zip(specs, written, strict=True):
            scratch = path.with_name(f".{path.name}")
            scratch.write_text(text, encoding="utf-8")
            scratch.rename(path)
    told(lab, "NetworkPolicyNotEnforced", TYPE)
    other_operators(lab)
    lab.wait(f"wt/{TYPE}", SAYS_SO, seconds=PROBE_SECONDS)
    lab.kubectl("wait", "pods", "-n", NAMESPACE, "-l", "berth.dev/probe", "--for=delete", "--timeout=30s")
    left = lab.kubectl("get", "pods,networkpolicies", "-n", NAMESPACE, "-l", "berth.dev/probe", "-o", "name")
    assert left.strip() == ""
