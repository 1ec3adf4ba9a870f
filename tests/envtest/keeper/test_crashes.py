"""The operator, and the keeper, are killed right after each write of a lease's end: it is done, and once."""

import pytest

from berth_core.kube.types import Kind

from ..operator.hooks import end, has_ended, reads
from ..operator.killing import Happens, kill_when, nothing_left
from ..operator.lab import DEPLOYMENTS, INSTANCES, PODS, RELAYS, Lab, condition
from ..operator.process import Operators
from .bench import borrowed, lent, relay, relay_name
from .process import Keepers
from .relay import Relay

pytestmark = pytest.mark.apiserver

STEPS: list[tuple[str, Kind, Happens]] = [
    ("the end is written", INSTANCES, lambda _, o: bool(o["status"].get("reason"))),
    ("the pod is gone", PODS, lambda event, _: event == "DELETED"),
    ("the relay is asked", RELAYS, lambda _, o: (o["spec"].get("request") or {}).get("end") is True),
    ("the keeper begins", RELAYS, lambda _, o: bool((o.get("status") or {}).get("attemptUntil"))),
    ("the Instance says that it waits", INSTANCES, lambda _, o: condition(o, "Rested") == "Switching"),
    ("the keeper has done it", RELAYS, lambda _, o: condition(o, "Done") == "Switched"),
    ("the Instance says that it is done", INSTANCES, lambda _, o: condition(o, "Rested") == "Done"),
    ("the lease is given back", DEPLOYMENTS, lambda _, o: "lease" not in o["status"]),
]


async def test_the_operator_is_killed_after_each_write_of_an_end(
    lab: Lab, operators: Operators, keepers: Keepers, pdu: Relay
) -> None:
    keepers.start()
    operators.start()
    await lent(lab, pdu)
    for epoch, (what, kind, happens) in enumerate(STEPS, start=1):
        name = f"mine-{epoch}"
        public_id = await borrowed(lab, name)

        def of_this_lease(event: str, obj: object, epoch: int = epoch, happens: Happens = happens) -> bool:
            request = obj["spec"].get("request")  # type: ignore[index]
            return (request is None or request["epoch"] == epoch) and happens(event, obj)  # type: ignore[arg-type]

        await kill_when(lab, operators, kind, of_this_lease, end(lab, name))
        await has_ended(lab, name, seconds=45)
        await nothing_left(lab, public_id)
        assert (pdu.heard, pdu.power) == (["off"] * epoch, "off"), what
        await reads(lab, "Free", seconds=20)
        pdu.power = "on"


async def test_a_keeper_that_is_killed_in_the_middle_is_followed_by_one_that_does_it(
    lab: Lab, operators: Operators, keepers: Keepers, pdu: Relay
) -> None:
    keepers.start()
    operators.start()
    await lent(lab, pdu)
    # Before it has heard of the request.
    await borrowed(lab, "first")
    await keepers.kill()
    await end(lab, "first")
    await lab.until(RELAYS, relay_name(lab), lambda o: (o["spec"].get("request") or {}).get("end"))
    assert await lab.lease("one") is not None
    keepers.start()
    await has_ended(lab, "first", seconds=45)
    assert (pdu.heard, pdu.power) == (["off"], "off")
    # While the relay has not answered: nobody knows whether it did anything.
    await borrowed(lab, "second")
    pdu.power, pdu.status, pdu.obeys = "on", 0, False
    await end(lab, "second")
    await pdu.until(lambda: len(pdu.heard) == 2)
    await keepers.kill()
    pdu.status, pdu.obeys = 200, True
    claimed = await relay(lab)
    assert claimed.status.attempt_until is not None
    keepers.start()
    assert await lab.lease("one") is not None
    await has_ended(lab, "second", seconds=60)
    assert (pdu.heard, pdu.power) == (["off", "off", "off"], "off"), "the second keeper tried again"
    again = await relay(lab)
    assert (again.status.attempts, again.status.attempt_until) == (2, None)
