"""Steps of a lease with devices: they are reserved before anything else is opened, and waited for within a bound."""

import pytest

from berth_core.resources.machines.devices import MachineDevice
from berth_operator.instances.decide import PATIENCE, decide, refused
from berth_operator.instances.observed import HookView, ObservedInstance, Progress
from berth_operator.instances.plan import Step

from ..samples import NOW, agent, bound, instance, pod, seen, type_

ARM = MachineDevice.model_validate(
    {"name": "arm", "deviceClassName": "arms", "selectors": [{"cel": {"expression": 'x == "A7"'}}]}
)
WAITS = pod(phase="Pending", node="", unschedulable_since=NOW, unschedulable="cannot allocate all claims")
PREPARED = type_(hooks={"prepare": {"command": ["/home"], "timeout": 600}})
PREPARING = seen(
    type=PREPARED,
    pod=None,
    opened=False,
    prepare=HookView(Progress.RUNNING),
    prepare_pod=WAITS,
    unallocated=(ARM,),
)


@pytest.mark.parametrize(
    "observed",
    [
        seen(unreserved=True, agent=agent(current=False)),
        seen(unreserved=True, pod=None, opened=False),
        seen(unreserved=True, pod=None, type=PREPARED, prepare=HookView(Progress.DONE)),
    ],
)
def test_a_device_is_reserved_before_the_next_step(observed: ObservedInstance) -> None:
    assert decide(observed, NOW).step is Step.RESERVE


@pytest.mark.parametrize(
    "observed",
    [
        seen(unreserved=True, instance=bound(terminate=True)),
        seen(unreserved=True, lost="its lease is held by another instance"),
        seen(unreserved=True, instance=instance(status={"reason": "Terminated"})),
    ],
)
def test_an_end_comes_before_a_reservation(observed: ObservedInstance) -> None:
    assert decide(observed, NOW).step in (Step.END, Step.TEAR_DOWN)


@pytest.mark.parametrize("observed", [seen(pod=WAITS, unallocated=(ARM,)), PREPARING])
def test_a_device_that_is_not_given_ends_the_start_after_some_patience_and_is_named(observed: ObservedInstance) -> None:
    before = decide(observed, NOW + PATIENCE / 2)
    assert before.step is Step.REPORT
    assert before.again_at == NOW + PATIENCE
    over = decide(observed, NOW + PATIENCE)
    assert (over.step, over.reason) == (Step.END, "StartFailed")
    for words in ("the device arm", 'x == "A7"', "cannot allocate all claims", "spec.machine.devices"):
        assert words in over.message


def test_a_pod_that_waits_for_something_else_than_a_device_says_so() -> None:
    over = decide(seen(pod=WAITS), NOW + PATIENCE)
    assert "check the type's resources, devices and nodeSelector" in over.message


def test_a_reservation_that_the_cluster_refuses_ends_the_start_with_its_words() -> None:
    observed = seen(unreserved=True)
    end = refused(observed, decide(observed, NOW), "requires resource resourceclaims/binding", NOW, for_good=True)
    assert end is not None
    assert (end.step, end.reason) == (Step.END, "StartFailed")
    assert "resourceclaims/binding" in end.message
