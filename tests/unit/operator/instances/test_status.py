from typing import Any

import pytest

from berth_core import state
from berth_core.kube.conditions import find
from berth_core.kube.containers import Container
from berth_core.kube.model import timestamp
from berth_core.resources.instance import InForce, InstanceStatus
from berth_operator.engine.writes import changes
from berth_operator.instances import status
from berth_operator.instances.observed import AgentView, ObservedInstance
from berth_operator.instances.plan import Plan, Step
from berth_operator.podspec.isolation import ISOLATED, Verdict

from ..samples import ADDRESS, LEASE, NOW, agent, at, bound, instance, pod, seen, type_

REPORT = Plan(Step.REPORT)
COLD = {"agent": agent(acknowledged=None, current=False, listening=None, path=None), "address": None}


def shown(new: InstanceStatus, kind: str) -> tuple[str, str]:
    found = find(new.conditions, kind)
    assert found is not None
    return found.status, found.reason


def after(observed: ObservedInstance, seconds: float = 2) -> InstanceStatus:
    return status.reported(observed, REPORT, at(seconds))


def test_readiness_is_written_whole_and_once() -> None:
    observed = seen(instance=bound(expireAfter=600))
    new = after(observed)
    assert new.address == ADDRESS
    assert new.firewall == InForce(generation=1, digest="d")
    assert (new.ready_time, new.expire_time) == (timestamp(at(2)), timestamp(at(602)))
    assert new.pod_uid == "pod-1"
    assert {shown(new, kind) for kind in (state.POD_READY, state.NETWORK_READY, state.READY)} == {
        ("True", "Running"),
        ("True", "InForce"),
        ("True", "Ready"),
    }
    again = observed.instance.model_copy(update={"status": new})
    assert changes(new, after(seen(instance=again), 500)) == {}, "nothing changes later"


@pytest.mark.parametrize(
    "missing",
    [
        {"agent": agent(listening=None)},
        {"agent": agent(listening=False)},
        {"agent": agent(path=None)},
        {"address": None},
    ],
)
def test_it_is_not_ready_while_anything_is_unproven(missing: dict[str, Any]) -> None:
    new = after(seen(**missing))
    assert shown(new, state.READY)[0] == "False"
    assert (new.address, new.ready_time, new.expire_time) == (None, None, None)


def test_a_path_that_refuses_holds_up_and_is_told() -> None:
    new = after(seen(agent=agent(path=None, refused=True)))
    assert shown(new, state.POD_READY) == ("True", "Running")
    assert {shown(new, kind) for kind in (state.NETWORK_READY, state.READY)} == {("False", "PathRefused")}
    assert new.address is None


def test_a_path_that_could_not_be_tried_is_told_and_does_not_hold_up() -> None:
    new = after(seen(agent=agent(path=False)))
    assert shown(new, state.NETWORK_READY) == ("True", "PathUnverified")
    assert shown(new, state.READY) == ("True", "Ready")


def test_what_is_news_of_a_pods_user_namespace_is_told_with_the_rest() -> None:
    verdict = Verdict(False, "NodeCannot", "")
    assert shown(after(seen(isolation=verdict)), state.USER_NAMESPACE) == ("False", "NodeCannot")
    assert find(after(seen()).conditions, state.USER_NAMESPACE) is None


def test_starting_changes_nothing_until_something_is_wrong() -> None:
    begun = status.bound(instance(), LEASE, status.PodSecrets("ssh-ed25519 A", "0a1b2c3d"), NOW, isolation=ISOLATED)
    started = instance(status=begun.wire())
    for progress in (
        {"pod": pod(node="", ip="")},
        {"pod": pod(agent=Container("waiting", reason="PodInitializing"))},
        {"agent": agent(listening=None, path=None)},
    ):
        assert changes(begun, after(seen(**COLD | {"instance": started} | progress))) == {}
    broken = pod(workspace=Container("waiting", reason="ErrImagePull", message="not found"))
    new = after(seen(**COLD | {"instance": started, "pod": broken}))
    assert shown(new, state.READY) == ("False", "ErrImagePull")


def test_a_lost_pod_takes_the_address_along_and_leaves_the_times() -> None:
    ready = after(seen(instance=bound(expireAfter=600)))
    lost = seen(instance=bound(status=ready.wire()), pod=None)
    new = status.reported(lost, Plan(Step.RETIRE, "PodLost", "the pod is gone"), at(100))
    assert (new.address, new.firewall, new.pod_uid) == (None, None, None)
    assert (new.ready_time, new.expire_time) == (ready.ready_time, ready.expire_time)
    assert shown(new, state.READY) == ("False", "PodLost")
    assert changes(ready, new).items() >= {"address": None, "firewall": None, "podUid": None}.items()


def test_an_extension_moves_the_end_and_nothing_else_does() -> None:
    ready = after(seen(instance=bound(expireAfter=600)))
    untouched = after(seen(instance=bound(status=ready.wire(), expireAfter=600)), 50)
    assert untouched.expire_time == ready.expire_time
    extended = bound(status=ready.wire(), expireAfter=900, metadata={"generation": 2})
    assert after(seen(instance=extended), 50).expire_time == timestamp(at(902))


@pytest.mark.parametrize("trouble", [{"pod": None}, {"pod": pod(deleting=True)}, {"silent_node": "node-2"}, COLD])
def test_an_extension_counts_while_the_pod_is_lost_or_silent(trouble: dict[str, Any]) -> None:
    ready = after(seen(instance=bound(expireAfter=600)))
    extended = bound(status=ready.wire(), expireAfter=900, metadata={"generation": 2})
    new = after(seen(instance=extended, **trouble), 50)
    assert (new.ready_time, new.expire_time) == (ready.ready_time, timestamp(at(902)))
    back = bound(status=new.wire(), expireAfter=900, metadata={"generation": 2})
    assert after(seen(instance=back), 60).expire_time == timestamp(at(902))


def test_an_extension_goes_over_the_type_s_default_and_not_over_its_most() -> None:
    bench = type_(limits={"defaultExpireAfter": 300, "maxExpireAfter": 1000})
    ready = after(seen(instance=bound(), type=bench))
    assert ready.expire_time == timestamp(at(302))
    for asked, seconds in ((900, 902), (200, 202), (5000, 1002)):
        extended = bound(status=ready.wire(), expireAfter=asked, metadata={"generation": 2})
        assert after(seen(instance=extended, type=bench), 50).expire_time == timestamp(at(seconds))


@pytest.mark.parametrize(
    ("asked", "default", "longest", "seconds"),
    [
        (None, None, None, None),
        (600, None, None, 600),
        (None, 900, None, 900),
        (600, 900, None, 600),
        (600, None, 300, 300),
        (None, None, 300, 300),
        (None, 200, 300, 200),
    ],
)
def test_the_length_of_a_lease(
    asked: int | None, default: int | None, longest: int | None, seconds: int | None
) -> None:
    limits = {"defaultExpireAfter": default, "maxExpireAfter": longest}
    bench = type_(limits={key: value for key, value in limits.items() if value})
    assert status.expire_time(NOW, asked, bench) == (None if seconds is None else at(seconds))


def test_the_end_keeps_its_first_reason() -> None:
    begun = status.ending(bound(), Plan(Step.END, "Expired", "its time was up"), NOW)
    over = status.ended(bound(status=begun.wire()), at(1))
    assert (over.reason, over.message, over.end_time) == ("Expired", "its time was up", timestamp(at(1)))
    assert shown(over, state.ENDED) == ("True", "Expired")
    assert status.ended(bound(status=over.wire()), at(99)).end_time == over.end_time


def test_an_agent_out_of_reach_is_told_after_some_tries_and_ssh_stays_ready() -> None:
    ready = after(seen())
    for failures, expected in ((1, "True"), (9, "False")):
        stale = agent(current=False, failures=failures, error="no route")
        new = after(seen(instance=bound(status=ready.wire()), agent=stale), 50)
        assert shown(new, state.NETWORK_READY)[0] == expected
        assert shown(new, state.READY)[0] == "True"


def test_a_workspace_that_restarts_is_not_ready() -> None:
    ready = after(seen())
    restarting = seen(instance=bound(status=ready.wire()), agent=agent(listening=None))
    assert shown(after(restarting), state.READY) == ("False", "Restarting")


ASKED_AGAIN = agent(acknowledged=None, current=False, listening=None, path=None, first_met=True)


@pytest.mark.parametrize(
    "known",
    [
        ASKED_AGAIN,
        agent(listening=None, path=None, first_met=True),
        agent(listening=True, path=None, refused=True, first_met=True),
    ],
)
def test_a_new_operator_process_shows_what_was_ready_as_ready_until_it_knows_better(known: AgentView) -> None:
    ready = after(seen())
    again = seen(instance=bound(status=ready.wire()), agent=known)
    assert changes(ready, after(again, 50)) == {}
    silent = seen(instance=bound(status=ready.wire()), agent=agent(listening=False, first_met=True))
    assert shown(after(silent, 50), state.READY)[0] == "False"


@pytest.mark.parametrize(
    "other",
    [
        {"pod": pod(uid="pod-2")},
        {"pod": pod(workspace=Container("terminated"))},
        {"pod": pod(agent=Container("waiting"))},
        {"address": None},
        {"silent_node": "node-1"},
    ],
)
def test_what_a_new_process_sees_to_have_changed_is_not_ready(other: dict[str, Any]) -> None:
    ready = after(seen())
    again = seen(instance=bound(status=ready.wire()), **{"agent": ASKED_AGAIN, **other})
    assert shown(after(again, 50), state.READY)[0] == "False"


def test_what_never_was_ready_is_proven_first() -> None:
    assert shown(after(seen(agent=ASKED_AGAIN)), state.READY)[0] == "False"


def test_a_silent_node_is_not_ready_and_everything_else_stays() -> None:
    ready = after(seen())
    silent = after(seen(instance=bound(status=ready.wire()), silent_node="node-2"), 50)
    assert shown(silent, state.READY) == ("False", "NodeLost")
    assert (silent.address, silent.firewall) == (ready.address, ready.firewall)
    back = after(seen(instance=bound(status=silent.wire())), 60)
    assert shown(back, state.READY) == ("True", "Ready")
