"""The model finds what it is there to find."""

from typing import Any

import pytest

from .model import Leases, Newcomer, Place, Queue, Taking

pytestmark = pytest.mark.release(twin=None, reason="it tests the judge of histories that only `make test-all` plays")


def deployment(epoch: int, holder: str | None) -> dict[str, Any]:
    lease = {"lease": {"instance": holder}} if holder else {}
    return {"metadata": {"name": "one", "resourceVersion": "7"}, "status": {"epoch": epoch} | lease}


def instance(name: str, epoch: int, *, ended: bool = False) -> dict[str, Any]:
    end = {"endTime": "now"} if ended else {}
    return {"metadata": {"name": name}, "status": {"id": name, "deployment": "one", "epoch": epoch} | end}


def breaches(*seen: dict[str, Any]) -> list[str]:
    leases = Leases()
    for obj in seen:
        (leases.see_instance if "id" in obj["status"] else leases.see_deployment)(obj)
    return leases.final_breaches()


def test_one_holder_after_the_other_is_no_breach() -> None:
    seen = [deployment(0, None), deployment(1, "a"), instance("a", 1), deployment(1, None), deployment(2, "b")]
    assert breaches(*seen, instance("b", 2), instance("a", 1, ended=True)) == []


def test_every_breach_of_a_lease_is_found() -> None:
    free = deployment(0, None)
    assert breaches(free, deployment(1, "a"), deployment(2, "b"))
    assert breaches(free, deployment(1, "a"), deployment(1, "b"))
    assert breaches(free, deployment(2, "a"))
    assert breaches(free, deployment(1, "a"), deployment(0, None))
    assert breaches(free, deployment(1, None))
    assert breaches(free, deployment(1, "a"), deployment(1, None), deployment(1, "b"))
    assert breaches(free, deployment(1, "a"), instance("a", 1), instance("b", 1))
    assert breaches(free, deployment(1, "a"), instance("a", 1, ended=True), instance("a", 1))
    assert breaches(free, deployment(1, "a"), instance("b", 1))


def queue(*, leaves: float = 100.0, instance: str = "i-new", version: int = 5, user: str = "bob") -> Queue:
    made = Queue({"r": Place("r", frozenset({"one"}), asked=1, user="ada", answered=2, leaves=leaves)})
    made.newcomers["i-new"] = Newcomer(asked=3, user=user)
    made.takings.append(Taking("one", instance, version, seen=4))
    return made


def test_a_newcomer_before_one_who_waits_is_a_jump() -> None:
    assert queue().jumps()
    assert not queue(leaves=3.5).jumps(), "it may have been given up by then"
    assert not queue(user="ada").jumps(), "a user's own places in the queue do not block the user"
    assert not queue(instance="i-unknown").jumps(), "nobody knows when that was asked for"


def test_one_who_was_met_does_not_wait() -> None:
    made = queue()
    made.takings.insert(0, Taking("two", "i-r", 4, seen=4.5))
    made.granted["i-r"] = "r"
    assert not made.jumps()


def test_a_later_place_before_an_earlier_one_is_a_jump() -> None:
    made = queue(instance="i-r2")
    made.places["r2"] = Place("r2", frozenset({"one"}), asked=3, answered=4)
    made.granted["i-r2"] = "r2"
    assert made.jumps()
    made.places["r2"].priority = 1
    assert not made.jumps()


def test_a_place_that_is_never_met_is_lost() -> None:
    made = queue(leaves=float("inf"))
    assert made.lost() == ["r"]
    made.granted["i-r"] = "r"
    assert made.lost() == []
