"""How far the end of a lease is, and whether a deployment's relays can be trusted with it."""

from datetime import timedelta
from typing import Any

import pytest

from berth_core.kube.conditions import condition
from berth_core.kube.model import timestamp
from berth_core.resources import Relay, WorkspaceDeployment
from berth_operator.relays.decide import (
    Closing,
    Step,
    Terms,
    asked,
    closing,
    differs,
    failure,
    progress,
    relay_spec,
    safe_state,
)

from ...keeper.samples import relay, request
from ..samples import NOW, at, deployment

TERMS = Terms(timedelta(seconds=300))
ENDS: dict[str, Any] = {
    "machine": {"addons": [{"name": "power", "kind": "relay", "secret": "pdu-a", "onLeaseEnd": "off"}]}
}


def told(*, done: bool = False, number: int = 1, until: float | None = None, attempts: int = 2) -> dict[str, Any]:
    """Status after attempts at a request."""
    last = condition("Done", done, "Answered", "the relay answered 500", now=NOW).wire()
    busy = {"attemptUntil": timestamp(at(until))} if until is not None else {}
    return {"number": number, "attempts": attempts, "conditions": [last]} | busy


@pytest.mark.parametrize(
    ("seen", "seconds", "step"),
    [
        (None, 0, Step.ASK),
        (relay(), 0, Step.ASK),
        (relay(request(epoch=2), status=told(done=True)), 0, Step.ASK),
        (relay(request(do="on", end=False), status=told(done=True)), 0, Step.ASK),
        (relay(request()), 299, Step.WAIT),
        (relay(request()), 300, Step.GIVE_UP),
        (relay(request(), status=told()), 299, Step.WAIT),
        (relay(request(), status=told(until=310)), 305, Step.WAIT),
        (relay(request(), status=told(until=310)), 310, Step.GIVE_UP),
        (relay(request(), status=told(done=True)), 1e6, Step.DONE),
        (relay(request(2), status=told(done=True, number=1)), 0, Step.WAIT),
        (relay(request(2, "nothing"), status=told()), 0, Step.FAILED),
    ],
)
def test_the_end_is_asked_for_waited_for_and_given_up(seen: Relay | None, seconds: float, step: Step) -> None:
    assert progress(seen, 3, at(seconds), TERMS).step is step


def test_nothing_is_given_up_by_a_clock_that_is_not_trusted() -> None:
    terms = Terms(timedelta(seconds=300), clock_trusted=False)
    assert progress(relay(request()), 3, at(1e6), terms).step is Step.WAIT


def test_a_failure_says_how_the_last_attempt_ended_or_that_there_was_none() -> None:
    deed = deployment(**ENDS).ends
    assert deed is not None
    tried = progress(relay(request(2, "nothing"), status=told()), 3, at(0), TERMS)
    assert failure(deed[0], tried) == (
        "the end of the lease, off by power, was not done: 2 attempts, the last: the relay answered 500"
    )
    never = progress(relay(request(2, "nothing"), status={}), 3, at(0), TERMS)
    assert "no keeper took it up; look at the Deployment berth-keeper" in failure(deed[0], never)


def test_a_request_counts_on_from_the_one_before() -> None:
    assert asked(None, 3, "off", NOW).number == 1
    following = asked(relay(request(7)), 4, "off", NOW)
    assert (following.number, following.epoch, following.end, following.do) == (8, 4, True, "off")


@pytest.mark.parametrize(
    ("seen", "has_deed", "step"),
    [
        (relay(), True, Closing.CLOSED),
        (relay(), False, Closing.CLOSE),
        (relay(request(epoch=2)), True, Closing.CLOSED),
        (relay(request(epoch=2)), False, Closing.CLOSE),
        (relay(request(do="on", end=False)), True, Closing.CLOSE),
        (relay(request(do="on", end=False), status=told(done=True)), True, Closing.CLOSED),
        (relay(request(do="on", end=False), status=told(done=True)), False, Closing.CLOSE),
        (relay(request(2, "nothing", end=False)), False, Closing.CLOSED),
        (relay(request(2, "nothing", end=False), status=told(until=30)), False, Closing.WAIT),
        (relay(request(2, "nothing", end=False), status=told(until=30)), True, Closing.WAIT),
        (relay(request()), True, Closing.CLOSED),
    ],
)
def test_no_request_of_a_holder_goes_on_after_the_end(seen: Relay, has_deed: bool, step: Closing) -> None:
    assert closing(seen, 3, at(10), has_deed=has_deed) is step


def test_a_relay_is_made_anew_for_another_secret_deed_or_deployment() -> None:
    wd = deployment(**ENDS)
    (addon,) = wd.addons
    same = relay_spec("one", addon, "off")
    assert not differs(relay(request(), onLeaseEnd="off"), wd, same)
    assert differs(relay(onLeaseEnd="cycle"), wd, same)
    assert differs(relay(onLeaseEnd="off", secret="another"), wd, same)
    assert differs(relay(onLeaseEnd="off"), deployment(**ENDS, metadata={"uid": "another"}), same)


def usable(reason: str = "Usable", message: str = "it is") -> dict[str, Relay]:
    shown = condition("Usable", reason == "Usable", reason, message, now=NOW).wire()
    return {"power": relay(onLeaseEnd="off", status={"conditions": [shown]})}


@pytest.mark.parametrize(
    ("keeper", "relays", "status", "reason"),
    [
        (True, usable(), "True", "KeeperReady"),
        (True, {}, "False", "KeeperAwaited"),
        (True, {"power": relay(onLeaseEnd="off")}, "False", "KeeperAwaited"),
        (True, usable("SecretMissing", "make it"), "False", "SecretMissing"),
        (False, usable(), "False", "KeeperMissing"),
        (None, usable(), "False", "KeeperMissing"),
    ],
)
def test_a_machine_is_safe_where_a_keeper_runs_that_can_work_its_relays(
    keeper: bool | None, relays: dict[str, Relay], status: str, reason: str
) -> None:
    verdict = safe_state(deployment(**ENDS), relays, None, keeper=keeper)
    assert verdict is not None
    assert (verdict.status, verdict.reason) == (status, reason)


def test_a_new_leader_believes_what_the_status_says_of_the_keeper_until_it_has_looked() -> None:
    for known, reason in (("KeeperReady", "KeeperReady"), ("SecretMissing", "KeeperReady"), ("KeeperMissing",) * 2):
        former = condition("SafeState", known == "KeeperReady", known, "", now=NOW)
        verdict = safe_state(deployment(**ENDS), usable(), former, keeper=None)
        assert verdict is not None
        assert verdict.reason == reason


@pytest.mark.parametrize(
    "wd",
    [
        deployment(),
        deployment(machine={"addons": [{"name": "power", "kind": "relay", "secret": "pdu-a"}]}),
    ],
)
def test_nothing_is_said_of_machines_whose_end_takes_nothing(wd: WorkspaceDeployment) -> None:
    assert safe_state(wd, {}, None, keeper=False) is None
    former = condition("SafeState", True, "KeeperReady", "", now=NOW)
    verdict = safe_state(wd, {}, former, keeper=False)
    assert verdict is not None
    assert (verdict.status, verdict.reason) == ("Unknown", "NoEnds")
