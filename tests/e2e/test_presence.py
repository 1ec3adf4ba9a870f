"""A robot at an address of the lab's network: probed through the operator's own NetworkPolicy, offline when it goes."""

import json
import time

import pytest
from echoing import Echo
from lab import NAMESPACE, Lab, Person
from places import IMAGE, more_addresses, routes
from promised import promised

from berth_dev.cluster.network import NETNS_FOLDER, NETWORK, OUTSIDE, ROBOTS

pytestmark = [pytest.mark.nodes, pytest.mark.release(twin="tests/envtest/operator/test_presence.py")]

ROBOT = str(ROBOTS[9])
ELSEWHERE = str(NETWORK[141])
"""An address of the same machine that no value names."""
PORT, EVERY, FAILURES = 30002, 2, 3
NAME = "probed-arm"


def online(lab: Lab, reason: str) -> float:
    """Wait until the condition Online has a reason; the seconds that took."""
    began = time.monotonic()
    lab.wait(f"wd/{NAME}", f"jsonpath={{.status.conditions[?(@.type=='Online')].reason}}={reason}", seconds=60)
    return time.monotonic() - began


def test_a_robot_that_goes_is_lent_to_nobody_until_it_is_back(lab: Lab, ada: Person) -> None:
    netns = NETNS_FOLDER / OUTSIDE[1].namespace
    health = {"tcp": PORT, "every": EVERY, "failures": FAILURES}
    spec = {"health": health, "machine": {"network": {"addresses": [f"{ROBOT}/32"]}}}
    try:
        with more_addresses(OUTSIDE[1], (ROBOT, ELSEWHERE)), routes():
            lab.makes_type(NAME.replace("-", "_"), {"image": IMAGE, "imagePullPolicy": "IfNotPresent"})
            deployment = lab.get("wd", NAME)["status"]["id"]
            with Echo(netns, PORT):
                lab.kubectl("patch", "wd", NAME, "-n", NAMESPACE, "--type=merge", "-p", json.dumps({"spec": spec}))
                online(lab, "Answers")
            took = online(lab, "NoAnswer")
            print(f"offline after {took:.1f} s; every {EVERY} s, {FAILURES} failures")  # noqa: T201 (the figure)
            assert took <= EVERY * FAILURES + promised(EVERY + 3)
            refused = ada.asks("POST", f"/new/{deployment}")
            assert refused.status == 503
            assert "offline (NoAnswer since" in refused.json["error"]
            with Echo(netns, PORT):
                online(lab, "Answers")
                ada.ends(ada.takes(deployment))
                elsewhere = {"spec": {"health": {"host": ELSEWHERE}}}
                lab.kubectl("patch", "wd", NAME, "-n", NAMESPACE, "--type=merge", "-p", json.dumps(elsewhere))
                online(lab, "AddressForbidden")
    finally:
        lab.kubectl("delete", "wd", NAME, "-n", NAMESPACE, "--ignore-not-found")
        lab.kubectl("delete", "wt", NAME, "-n", NAMESPACE, "--ignore-not-found")
