from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core import names
from berth_core.kube.containers import Container
from berth_core.kube.model import timestamp
from berth_core.leases.availability import Lease
from berth_core.machines.placement import Fault
from berth_operator.instances.decide import (
    CRASHES,
    PATIENCE,
    REMAKE_AFTER,
    decide,
    may_lack_secrets,
    refused,
    settles_later,
)
from berth_operator.instances.observed import ObservedInstance
from berth_operator.instances.plan import Plan, Step
from berth_operator.pods.view import NOT_REPORTED

from ..samples import LEASE, NOW, agent, at, bound, deployment, ended_condition, instance, pod, seen, type_

DELETED: dict[str, Any] = {"metadata": {"deletionTimestamp": timestamp(NOW), "finalizers": ["berth.dev/fence"]}}
LATER = Lease("one", 4)
IN_USE = Fault("EndpointInUse", "a lease of two has its endpoints")
RETURNING = instance(status={"returned": {"deployment": "one", "epoch": 3}})
GONE = {"pod": None, "agent": agent(acknowledged=None, current=False, listening=None, path=None)}


SILENT = pod(phase="Pending", ip="", agent=NOT_REPORTED, workspace=NOT_REPORTED, containers=())


def waiting_for(reason: str, message: str = "") -> Container:
    return Container("waiting", reason=reason, message=message)


@pytest.mark.parametrize(
    ("observed", "step"),
    [
        (seen(), Step.REPORT),
        (seen(pod=None), Step.OPEN),
        (seen(opened=False), Step.OPEN),
        (seen(pod=pod(deleting=True)), Step.RETIRE),
        (seen(pod=pod(phase="Failed")), Step.RETIRE),
        (seen(pod=pod(epoch=2)), Step.RETIRE),
        (seen(pod=SILENT, lacks_secrets=True), Step.RETIRE),
        (seen(agent=agent(current=False)), Step.PUSH),
        (seen(agent=agent(current=False), pod=pod(ip="")), Step.REPORT),
        (seen(agent=agent(current=False), pod=pod(agent=waiting_for("CrashLoopBackOff"))), Step.REPORT),
        (seen(agent=agent(listening=None)), Step.PROBE),
        (seen(agent=agent(listening=False)), Step.PROBE),
        (seen(agent=agent(path=None)), Step.PROBE),
        (seen(agent=agent(listening=None, probing=True)), Step.REPORT),
        (seen(agent=agent(listening=None), address=None), Step.REPORT),
        (seen(instance=bound(terminate=True)), Step.END),
        (seen(instance=bound(**DELETED)), Step.END),
        (seen(lost="the lease of one is free"), Step.END),
        (seen(instance=bound(status={"reason": "Terminated"})), Step.TEAR_DOWN),
        (seen(instance=bound(status={"reason": "Expired"}, terminate=True)), Step.TEAR_DOWN),
        (ObservedInstance(instance(), waits_for="none is free"), Step.WAIT),
        (
            ObservedInstance(
                instance(), held=LEASE, deployment=deployment(), type=type_(), waits_for="beyond the quota"
            ),
            Step.MARK,
        ),
        (
            ObservedInstance(RETURNING, held=LEASE, deployment=deployment(), type=type_(), waits_for="beyond"),
            Step.RETURN,
        ),
        # A marked lease goes back even where there is room by now.
        (ObservedInstance(RETURNING, held=LEASE, deployment=deployment(), type=type_()), Step.RETURN),
        (ObservedInstance(RETURNING, held=LATER, deployment=deployment(), type=type_()), Step.BIND),
        (ObservedInstance(RETURNING, held=LATER, deployment=deployment(), type=type_(), waits_for="beyond"), Step.MARK),
        (ObservedInstance(RETURNING, waits_for="beyond the quota"), Step.WAIT),
        (ObservedInstance(RETURNING), Step.TURN),
        (ObservedInstance(instance()), Step.TURN),
        (ObservedInstance(instance(), held=LEASE, deployment=deployment(), type=type_()), Step.BIND),
        (ObservedInstance(instance(), held=LEASE, deployment=deployment()), Step.END),
        (ObservedInstance(instance(), held=LEASE, deployment=deployment(), type=type_(), machine=IN_USE), Step.END),
        (seen(machine=IN_USE, agent=agent(current=False)), Step.END),
        (ObservedInstance(instance(claim={"deployment": "one", "epoch": 3}), lost="it is free"), Step.END),
    ],
)
def test_each_situation_has_one_next_step(observed: ObservedInstance, step: Step) -> None:
    assert decide(observed, at(1)).step is step


@pytest.mark.parametrize(
    ("changes", "step"),
    [({}, Step.TEAR_DOWN), ({"pod": None}, Step.SETTLED), ({"pod": None, **DELETED}, Step.FORGET)],
)
def test_what_has_ended_is_only_cleared_away(changes: dict[str, Any], step: Step) -> None:
    metadata = {"metadata": changes["metadata"]} if "metadata" in changes else {}
    over = bound(status={"reason": "Terminated", "conditions": [ended_condition(true=True)]}, **metadata)
    observed = seen(instance=over, **{key: value for key, value in changes.items() if key == "pod"})
    assert decide(observed, at(1)).step is step


@pytest.mark.parametrize(
    ("changes", "after", "looks"),
    [
        ({}, 10, True),
        ({}, 9, False),
        ({"node": ""}, 10, False),
        ({"deleting": True}, 10, False),
        ({"phase": "Running"}, 10, False),
        ({"containers": (waiting_for("PodInitializing"), waiting_for("ContainerCreating"))}, 10, True),
        ({"containers": (waiting_for("ErrImagePull"),)}, 10, False),
        ({"containers": (Container("running"),)}, 10, False),
    ],
)
def test_where_a_node_says_nothing_of_a_pod_its_secrets_are_looked_for(
    changes: dict[str, Any], after: int, looks: bool
) -> None:
    silent = replace(SILENT, **changes)
    assert may_lack_secrets(silent, at(after)) is looks
    if looks:
        assert decide(seen(pod=silent, agent=agent(current=False)), at(after)).again_at == at(after + 5)


def test_an_instance_ends_when_its_time_is_up_and_not_a_second_before() -> None:
    expiring = seen(instance=bound(status={"readyTime": timestamp(NOW), "expireTime": timestamp(at(60))}))
    early = decide(expiring, at(59))
    assert (early.step, early.again_at) == (Step.REPORT, at(60))
    late = decide(expiring, at(60))
    assert (late.step, late.reason) == (Step.END, "Expired")


@pytest.mark.parametrize(("asked", "end"), [(900, 900), (30, 30)])
def test_an_extension_counts_before_the_status_shows_it(asked: int, end: int) -> None:
    status = {"readyTime": timestamp(NOW), "expireTime": timestamp(at(60)), "observedGeneration": 1}
    extended = seen(instance=bound(status=status, expireAfter=asked, metadata={"generation": 2}))
    early = decide(extended, at(end - 1))
    assert (early.step, early.again_at) == (Step.REPORT, at(end))
    assert decide(extended, at(end)).reason == "Expired"


def test_nothing_ends_by_a_clock_that_is_not_trusted() -> None:
    status = {"readyTime": timestamp(NOW), "expireTime": timestamp(at(60))}
    assert decide(seen(instance=bound(status=status), clock_trusted=False), at(999)).step is Step.REPORT
    assert decide(seen(clock_trusted=False), at(99999)).step is Step.REPORT


@pytest.mark.parametrize("reason", ["InvalidImageName", "ErrImageNeverPull"])
def test_a_hopeless_image_fails_at_once(reason: str) -> None:
    plan = decide(seen(**GONE | {"pod": pod(workspace=waiting_for(reason, "no such image"))}), at(0))
    assert (plan.step, plan.reason) == (Step.END, "StartFailed")
    assert "no such image" in plan.message
    assert "spec.template.image" in plan.message


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_an_image_that_cannot_be_pulled_fails_after_some_patience(reason: str) -> None:
    observed = seen(**GONE | {"pod": pod(workspace=waiting_for(reason)), "image_error_since": NOW})
    before = decide(observed, NOW + PATIENCE - timedelta(seconds=1))
    assert (before.step, before.again_at) == (Step.PUSH, NOW + PATIENCE)
    assert decide(observed, NOW + PATIENCE).reason == "StartFailed"


def test_an_unschedulable_pod_fails_after_some_patience_with_the_scheduler_s_word() -> None:
    stuck = pod(node="", ip="", unschedulable_since=NOW, unschedulable="0/2 nodes are available")
    observed = seen(**GONE | {"pod": stuck})
    assert decide(observed, at(1)).again_at == NOW + PATIENCE
    plan = decide(observed, NOW + PATIENCE)
    assert plan.reason == "StartFailed"
    assert "0/2 nodes are available" in plan.message


def test_a_workspace_that_crashes_before_it_was_ever_ready_fails_and_a_later_one_stays() -> None:
    crashing = pod(workspace=Container("waiting", reason="CrashLoopBackOff", restarts=CRASHES))
    assert decide(seen(**GONE | {"pod": crashing}), at(1)).reason == "StartFailed"
    was_ready = bound(status={"readyTime": timestamp(NOW)})
    assert decide(seen(instance=was_ready, pod=crashing, agent=agent(listening=None)), at(1)).step is not Step.END


def test_a_start_without_end_fails_at_the_type_s_time_out() -> None:
    slow = seen(**GONE | {"pod": pod(node="", ip=""), "type": type_(limits={"startTimeout": 30})})
    assert decide(slow, at(29)).again_at == at(30)
    plan = decide(slow, at(30))
    assert plan.reason == "StartFailed"
    assert "the pod is not scheduled" in plan.message


def test_a_start_whose_type_is_gone_fails_too() -> None:
    orphaned = seen(**GONE | {"type": None})
    assert decide(orphaned, at(299)).step is Step.OPEN
    plan = decide(orphaned, at(300))
    assert plan.reason == "StartFailed"
    assert "its WorkspaceType is gone" in plan.message


def test_a_pod_that_was_lost_at_once_is_made_again_only_after_a_while() -> None:
    lost = seen(**GONE | {"previous_pod_created": NOW, "previous_pod_ended": at(1)})
    plan = decide(lost, at(2))
    assert (plan.step, plan.again_at) == (Step.REPORT, NOW + REMAKE_AFTER)
    assert decide(lost, NOW + REMAKE_AFTER).step is Step.OPEN
    old = seen(**GONE | {"previous_pod_created": NOW, "previous_pod_ended": at(200)})
    assert decide(old, at(201)).step is Step.OPEN


@given(
    reason=st.sampled_from(["Terminated", "Expired", "ClaimLost", "StartFailed", "Deleted"]),
    terminate=st.booleans(),
    lost=st.sampled_from(["", "the lease is free"]),
    deleting=st.booleans(),
    current=st.booleans(),
    seconds=st.integers(0, 10**6),
)
def test_once_ending_always_ending(
    reason: str, terminate: bool, lost: str, deleting: bool, current: bool, seconds: int
) -> None:
    observed = seen(
        instance=bound(status={"reason": reason}, terminate=terminate),
        lost=lost,
        pod=pod(deleting=deleting),
        agent=agent(current=current),
    )
    assert decide(observed, at(seconds)).step is Step.TEAR_DOWN


@given(
    current=st.booleans(),
    listening=st.sampled_from([None, True, False]),
    path=st.sampled_from([None, True, False]),
    opened=st.booleans(),
    has_pod=st.booleans(),
    seconds=st.integers(0, 10**6),
)
def test_nothing_but_its_own_reasons_ends_an_instance_that_was_ready(
    current: bool, listening: bool | None, path: bool | None, opened: bool, has_pod: bool, seconds: int
) -> None:
    observed = seen(
        instance=bound(status={"readyTime": timestamp(NOW)}),
        pod=pod() if has_pod else None,
        opened=opened,
        agent=agent(current=current, listening=listening, path=path),
    )
    assert decide(observed, at(seconds)).step is not Step.END


TOMBSTONE: dict[str, Any] = {"metadata": {"labels": {names.NEVER_MADE_LABEL: "true"}}, "terminate": True}


def test_a_tombstone_ends_as_never_made() -> None:
    plan = decide(ObservedInstance(instance(**TOMBSTONE)), NOW)
    assert (plan.step, plan.reason) == (Step.END, "NeverMade")


def test_a_holder_who_labels_an_instance_does_not_end_it() -> None:
    labelled = bound(metadata=TOMBSTONE["metadata"])
    assert decide(seen(instance=labelled), NOW).step is Step.REPORT


def test_nobody_is_bound_or_loses_a_claim_while_the_lease_is_being_taken_or_given_back() -> None:
    claimed = instance(deployments=["one"], claim={"deployment": "one", "epoch": 3})
    plan = decide(ObservedInstance(claimed, claiming=True), NOW)
    assert plan.step is Step.SETTLED
    assert plan.again_at is not None
    assert plan.again_at - NOW <= timedelta(seconds=1)


def test_what_the_cluster_finds_invalid_ends_a_start_at_once_and_what_it_forbids_when_its_time_is_over() -> None:
    lease = {"instance": "id", "user": "ada", "claimedAt": timestamp(NOW)}
    held = deployment(status={"lease": lease, "epoch": 3})
    kind = type_(limits={"startTimeout": 60})
    unbound = ObservedInstance(instance(), held=LEASE, deployment=held, type=kind)
    opened = seen(pod=None, type=kind, deployment=held)
    for observed, step in ((unbound, Step.BIND), (opened, Step.PREPARE), (opened, Step.OPEN)):
        for moment, for_good, ends in ((0, True, True), (59, False, False), (60, False, True)):
            end = refused(observed, Plan(step), "x" * 5000, at(moment), for_good=for_good)
            assert (end is not None) == ends
            assert end is None or (end.step, end.reason, len(end.message) < 1000) == (Step.END, "StartFailed", True)
    assert refused(replace(unbound, clock_trusted=False), Plan(Step.BIND), "no", at(60), for_good=False) is None
    assert refused(opened, Plan(Step.REPORT), "no", at(60), for_good=True) is None, "nothing was to be made"
    ready = replace(opened, instance=bound(status={"readyTime": timestamp(NOW)}))
    assert refused(ready, Plan(Step.OPEN), "no", at(60), for_good=True) is None, "a holder with a shell keeps the lease"


def test_rules_say_that_they_are_in_force_soon_after_others_were_opened() -> None:
    unready = seen(rules_settled=False, others_open=True)
    assert settles_later(unready, NOW)
    ready = replace(unready, instance=bound(status={"readyTime": timestamp(NOW)}))
    assert settles_later(ready, at(1))
    assert decide(ready, at(1)).again_at == at(2), "no news may come by then"
    assert not settles_later(ready, at(2))
    assert decide(ready, at(2)).again_at != at(2)
    assert not settles_later(replace(ready, others_open=False), at(1))
