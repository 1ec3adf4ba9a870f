from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core.kube.conditions import condition
from berth_core.kube.containers import Container
from berth_core.kube.model import timestamp
from berth_core.resources import WorkspaceDeployment, WorkspaceType
from berth_operator.instances.decide import LOOK_AGAIN, SILENCE
from berth_operator.instances.warm.decide import (
    AFTER_CORDON,
    HELD_BACK,
    LIFE,
    Drawn,
    ObservedWarm,
    WarmPlan,
    WarmSet,
    decide,
    serves,
)
from berth_operator.pods.view import PodView

from ..samples import ID, NOW, at, deployment, instance, pod, type_

WANTED = "digest"
HELD = {"instance": ID, "user": "ada", "claimedAt": timestamp(NOW)}


def warm(**changes: Any) -> PodView:
    """A pod for epoch 4 that nobody has."""
    fields: dict[str, Any] = {"epoch": 4, "made_from": WANTED, "finalized": True, "name": "w-one-e4"}
    return pod(**(fields | changes))


def free(epoch: int = 3, **spec: Any) -> WorkspaceDeployment:
    return deployment(status={"epoch": epoch}, **spec)


def just_freed() -> WorkspaceDeployment:
    shown = condition("Available", True, "Free", "can be had now", now=NOW).wire()
    return deployment(status={"epoch": 3, "conditions": [shown]})


def held(epoch: int = 4) -> WorkspaceDeployment:
    return deployment(status={"epoch": epoch, "lease": HELD})


def seen(
    wd: WorkspaceDeployment | None = None, *sets: WarmSet, kind: WorkspaceType | None = None, cold: bool = False
) -> ObservedWarm:
    return ObservedWarm(wd or free(), kind or type_(warm=True), sets, wanted=WANTED, cold=cold)


def test_a_free_deployment_gets_a_pod_for_its_next_epoch() -> None:
    assert decide(seen(), NOW) == WarmPlan(make=4)


def test_what_was_begun_is_finished() -> None:
    assert decide(seen(free(), WarmSet(4)), NOW) == WarmPlan(make=4)


def test_what_is_good_stays_for_a_day() -> None:
    assert decide(seen(free(), WarmSet(4, warm())), NOW) == WarmPlan(again_at=NOW + LIFE)
    assert decide(seen(free(), WarmSet(4, warm())), NOW + LIFE).remove == (4,)


def test_it_is_made_later_while_other_leases_are_opened_but_not_much_later() -> None:
    busy = replace(seen(just_freed()), others_wait=True)
    assert decide(busy, at(1)) == WarmPlan(again_at=NOW + HELD_BACK)
    assert decide(busy, NOW + HELD_BACK) == WarmPlan(make=4)
    assert decide(replace(busy, others_wait=False), at(1)) == WarmPlan(make=4)
    assert decide(replace(seen(just_freed(), WarmSet(3)), others_wait=True), at(1)) == WarmPlan(remove=(3,))


def test_one_on_a_cordoned_node_leaves_and_the_next_is_made_when_a_drain_has_asked_for_it_again() -> None:
    assert decide(seen(free(), WarmSet(4, warm(), leaving=True)), NOW) == WarmPlan(remove=(4,))
    cordoned = replace(seen(), cordon=NOW)
    assert decide(cordoned, at(1)) == WarmPlan(again_at=NOW + AFTER_CORDON)
    assert decide(cordoned, NOW + AFTER_CORDON) == WarmPlan(make=4)
    busy = replace(seen(just_freed()), cordon=NOW, others_wait=True)
    assert decide(busy, at(1)) == WarmPlan(again_at=NOW + AFTER_CORDON)
    assert decide(replace(seen(free(), WarmSet(4, warm())), cordon=NOW), NOW) == WarmPlan(again_at=NOW + LIFE)


def test_one_on_a_cordoned_node_stays_with_whoever_takes_the_lease() -> None:
    taken = WarmSet(4, warm(), leaving=True)
    assert decide(seen(held(), taken), NOW) == WarmPlan()
    assert serves(taken, instance(), WANTED)


def test_one_that_waits_for_secrets_that_are_gone_is_made_anew_and_one_of_which_nothing_is_heard_is_looked_at() -> None:
    silent = warm(phase="Pending", containers=())
    assert decide(seen(free(), WarmSet(4, silent)), NOW) == WarmPlan(again_at=NOW + SILENCE)
    assert decide(seen(free(), WarmSet(4, silent)), at(60)) == WarmPlan(again_at=at(60) + LOOK_AGAIN)
    assert decide(seen(free(), WarmSet(4, silent, lacks_secrets=True)), at(60)) == WarmPlan(remove=(4,))


@pytest.mark.parametrize(
    ("wd", "kind"),
    [
        (free(lockout=True), type_(warm=True)),
        (free(dissolved=timestamp(NOW)), type_(warm=True)),
        (deployment(status={"epoch": 3, "lease": HELD}), type_(warm=True)),
        (free(metadata={"deletionTimestamp": timestamp(NOW)}), type_(warm=True)),
        (free(), type_()),
        (free(), type_(warm=True, retired=True)),
        (free(), type_(warm=True, hooks={"prepare": {"command": ["true"]}})),
    ],
)
def test_where_nobody_can_have_it_next_nothing_is_kept(wd: WorkspaceDeployment, kind: WorkspaceType) -> None:
    assert decide(seen(wd, WarmSet(4, warm()), kind=kind), NOW) == WarmPlan(remove=(4,))
    assert decide(seen(wd, kind=kind), NOW) == WarmPlan()


def test_without_deployment_or_type_nothing_is_kept() -> None:
    for wd, kind in ((None, type_(warm=True)), (free(), None)):
        assert decide(ObservedWarm(wd, kind, (WarmSet(4, warm()),), WANTED), NOW) == WarmPlan(remove=(4,))


@pytest.mark.parametrize(
    "bad",
    [
        WarmSet(4, warm(deleting=True)),
        WarmSet(4, warm(made_from="another")),
        WarmSet(4, warm(finalized=False)),
        WarmSet(4, warm(), silent=True),
        WarmSet(4, warm(), stray=True),
        WarmSet(4, warm(), leaving=True),
        WarmSet(4, warm(phase="Failed", created=at(-31))),
        WarmSet(3, warm(epoch=3)),
        WarmSet(3),
    ],
)
def test_what_is_of_no_use_goes_before_another_is_made(bad: WarmSet) -> None:
    assert decide(seen(free(), bad), NOW) == WarmPlan(remove=(bad.epoch,))


def test_what_fails_at_once_is_not_made_again_in_a_tight_loop() -> None:
    assert decide(seen(free(), WarmSet(4, warm(phase="Failed"))), NOW) == WarmPlan(again_at=at(30))


def test_while_the_lease_of_its_epoch_is_held_it_is_the_holder_s() -> None:
    for one in (WarmSet(4, warm()), WarmSet(4), WarmSet(4, warm(made_from="another")), WarmSet(4, warm(), stray=True)):
        assert decide(seen(held(), one), NOW) == WarmPlan()


def test_it_goes_when_the_holder_has_a_pod_of_his_own() -> None:
    assert decide(seen(held(), WarmSet(4, warm()), cold=True), NOW) == WarmPlan(remove=(4,))


def test_it_serves_who_has_the_lease_even_while_it_starts() -> None:
    for one in (warm(), warm(phase="Pending", node="", ip="", agent=Container("waiting"))):
        assert serves(WarmSet(4, one), instance(), WANTED)


@pytest.mark.parametrize(
    "bad",
    [
        WarmSet(4),
        WarmSet(4, warm(deleting=True)),
        WarmSet(4, warm(phase="Failed")),
        WarmSet(4, warm(made_from="another")),
        WarmSet(4, warm(finalized=False)),
        WarmSet(4, warm(), silent=True),
        WarmSet(4, warm(), stray=True),
        WarmSet(4, warm(unschedulable_since=NOW)),
        WarmSet(4, warm(workspace=Container("running", restarts=1))),
    ],
)
def test_it_does_not_serve_when_a_new_one_is_better_or_it_is_being_removed(bad: WarmSet) -> None:
    assert not serves(bad, instance(), WANTED)


def test_it_does_not_serve_with_a_vpn() -> None:
    assert not serves(WarmSet(4, warm()), instance(vpn=True), WANTED)


PODS = st.builds(
    warm,
    epoch=st.integers(2, 6),
    deleting=st.booleans(),
    phase=st.sampled_from(["Pending", "Running", "Failed"]),
    made_from=st.sampled_from([WANTED, "another"]),
    created=st.builds(at, st.integers(-90_000, 0)),
)
SETS = st.one_of(
    st.builds(
        lambda p, silent, leaving: WarmSet(p.epoch, p, silent, leaving=leaving), PODS, st.booleans(), st.booleans()
    ),
    st.builds(WarmSet, st.integers(2, 6)),
)


@given(
    sets=st.lists(SETS, max_size=4, unique_by=lambda one: one.epoch),
    wd=st.sampled_from([free(), free(4), just_freed(), held(), held(5), free(lockout=True)]),
    cold=st.booleans(),
    others_wait=st.booleans(),
    cordon=st.sampled_from([None, NOW]),
)
def test_it_settles_with_one_pod_for_the_next_epoch_and_touches_nobody_s(
    sets: list[WarmSet], wd: WorkspaceDeployment, cold: bool, others_wait: bool, cordon: datetime | None
) -> None:
    state = replace(seen(wd, *sets, cold=cold), others_wait=others_wait, cordon=cordon)
    moment = NOW
    for _ in range(12):
        plan = decide(state, moment)
        if wd.status.lease is not None:
            assert plan.make is None
            assert cold or wd.status.epoch not in plan.remove
        if plan.make is not None:
            assert plan.make == wd.status.epoch + 1
            assert all(one.epoch == plan.make and one.pod is None for one in state.sets)
        state = _done(state, plan, moment)
        moment = plan.again_at if plan.again_at is not None and not (plan.remove or plan.make) else moment
        if moment > at(200_000):
            break
    present = {one.epoch for one in state.sets}
    is_free = wd.status.lease is None and not wd.spec.lockout
    wanted = {wd.status.epoch + 1} if is_free else set()
    holder_s = {wd.status.epoch} if wd.status.lease is not None and not cold else set()
    assert present - holder_s == wanted


def _done(state: ObservedWarm, plan: WarmPlan, now: datetime) -> ObservedWarm:
    """State after a plan was carried out."""
    sets = tuple(one for one in state.sets if one.epoch not in plan.remove and one.epoch != plan.make)
    if plan.make is not None:
        sets += (WarmSet(plan.make, warm(epoch=plan.make, created=now)),)
    return replace(state, sets=sets)


def test_a_nonce_serves_the_deployment_and_epoch_that_it_was_drawn_for_until_a_status_names_it() -> None:
    wd = deployment()
    drawn = Drawn(wd.metadata.uid, 4, "n1")
    assert drawn.serves(wd, 4)
    assert not drawn.serves(wd, 5)
    assert not drawn.serves(deployment(status={"warm": {"epoch": 4, "nonce": "n1"}}), 4)
    assert drawn.serves(deployment(status={"warm": {"epoch": 4, "nonce": "n0"}}), 4)
    again = wd.model_copy(update={"metadata": wd.metadata.model_copy(update={"uid": "another"})})
    assert not drawn.serves(again, 4), "one of the same name, made when that was deleted, begins with the same epochs"
