import pytest

from berth_core.kube.conditions import find
from berth_operator.deployments.decide import type_status
from berth_operator.enforcement.decide import (
    CONDITION,
    ENFORCED,
    NOT_PROBED,
    Sample,
    judged,
    settled,
    unknown,
    why_not_running,
)
from berth_operator.enforcement.manifests import ADMITTED_PORT, FORBIDDEN_PORT, probe_pod, probe_policy

from ..samples import CONFIG, NOW, type_

SHUT = Sample(forbidden=False, admitted=True, outward=False)
BOTH = Sample(forbidden=True, admitted=True, outward=True)
IN = Sample(forbidden=True, admitted=True, outward=False)
OUT = Sample(forbidden=False, admitted=True, outward=True)
AWAY = Sample(forbidden=False, admitted=False, outward=None)
MUTE = Sample(forbidden=False, admitted=True, outward=None)


@pytest.mark.parametrize(
    ("samples", "status", "reason"),
    [
        ([], "Unknown", "ProbeUnreachable"),
        ([AWAY] * 9, "Unknown", "ProbeUnreachable"),
        ([SHUT] * 3, "True", "Enforced"),
        ([BOTH] * 5 + [SHUT] * 3, "True", "Enforced"),
        ([BOTH] * 9, "False", "NotEnforced"),
        ([SHUT] * 2 + [BOTH], "False", "NotEnforced"),
        ([IN] * 9, "False", "IngressNotEnforced"),
        ([OUT] * 9, "False", "EgressNotEnforced"),
        ([BOTH] + [AWAY] * 9, "False", "NotEnforced"),
        ([SHUT, SHUT, AWAY], "Unknown", "ProbeUnsteady"),
        ([MUTE] * 9, "Unknown", "ProbeUnsteady"),
    ],
)
def test_silence_counts_only_beside_a_connection_that_came_about(
    samples: list[Sample], status: str, reason: str
) -> None:
    verdict = judged(samples)
    assert (verdict.status, verdict.reason) == (status, reason)
    assert settled(samples) == (status == "True")


def test_every_type_shows_the_verdict_and_keeps_it_while_there_is_no_newer() -> None:
    shown = type_status(type_(), [], NOW, judged([BOTH] * 3))
    found = find(shown.conditions, CONDITION)
    assert found is not None
    assert (found.status, found.reason) == ("False", "NotEnforced")
    later = type_(**{}).model_copy(update={"status": shown})
    assert find(type_status(later, [], NOW).conditions, CONDITION) == found
    for verdict in (ENFORCED, NOT_PROBED, unknown("ProbeFailed", "no")):
        newer = find(type_status(later, [], NOW, verdict).conditions, CONDITION)
        assert newer is not None
        assert (newer.status, newer.reason) == (verdict.status, verdict.reason)


def test_a_type_is_ready_whatever_the_verdict() -> None:
    ready = find(type_status(type_(), [], NOW, judged([BOTH] * 3)).conditions, "Ready")
    assert ready is not None
    assert ready.status == "True"


def test_the_policy_admits_the_operator_to_one_of_the_pods_ports_and_nothing_else() -> None:
    pod, policy = probe_pod("p", "lab", CONFIG), probe_policy("p", "lab", CONFIG)
    assert policy["spec"]["podSelector"]["matchLabels"] == pod["metadata"]["labels"]
    assert [port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]] == [ADMITTED_PORT, FORBIDDEN_PORT]
    (entry,) = policy["spec"]["ingress"]
    assert entry["ports"] == [{"protocol": "TCP", "port": ADMITTED_PORT}]
    assert policy["spec"]["egress"] == []
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({}, "does not say why"),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}, "ImagePullBackOff"),
        ({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes"}]}, "0/2 nodes"),
    ],
)
def test_a_pod_that_does_not_run_says_why(status: dict[str, object], why: str) -> None:
    assert why in why_not_running({"status": status})
