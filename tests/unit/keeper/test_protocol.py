"""Operators, keepers and holders write one Relay in any order, stop and die anywhere: a lease goes back to rest.

The decisions are the real ones, of the operator's ``relays.decide`` and the keeper's ``schedule``. The store refuses
stale versions and what the CEL rules of the kind refuse. A process may stand still between any two of its steps. The
relay does what reached it up to 15 s later, also when the process that has sent it is dead. Clocks agree.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from berth_core.kube.model import parse_time, timestamp
from berth_core.machines.relays import NOTHING, is_done
from berth_core.resources import Relay
from berth_core.resources.machines.relay import RelayRequest, RelayStatus
from berth_keeper import schedule, switching
from berth_keeper.outcome import SWITCHED, UNREACHABLE, Outcome
from berth_operator.relays.decide import Closing, Step, Terms, asked, closing, progress

from ...sim.store.rules import predicate
from .samples import after, relay

TERMS = Terms(timedelta(seconds=20))
RULES = [predicate(rule.rule) for rule in Relay.RULES if rule.at == "spec.request"]
ATTEMPT = switching.ATTEMPT_SECONDS
CLAIM = schedule.CLAIM.total_seconds()


class StaleError(Exception):
    """The store refuses a write."""


@dataclass
class Effect:
    """Something that a relay was told, and when it does it."""

    do: str
    epoch: int
    lands: float


@dataclass
class Keeper:
    """A keeper: what it has seen, claimed and sent."""

    seen: Relay | None = None
    claimed: Relay | None = None
    began: float = 0.0
    sent: bool | None = None
    """Whether the relay answered that it was done; None before."""


@dataclass
class World:
    """The store, the relay itself, and everybody."""

    deed: str | None
    now: float = 0.0
    version: int = 1
    obj: Relay = field(default_factory=relay)
    epoch: int = 1
    ending: bool = False
    power: str = "on"
    flying: list[Effect] = field(default_factory=list)
    keepers: tuple[Keeper, Keeper] = field(default_factory=lambda: (Keeper(), Keeper()))
    operator: tuple[int, Relay] | None = None
    """Relay that a former leader saw, and the epoch."""
    holder: tuple[int, Relay] | None = None
    """Relay that a process of the API saw while the lease was the holder's, and the epoch."""
    returned: int = 0
    failed: int = 0

    def moment(self) -> datetime:
        return after(self.now)

    def write(self, seen: Relay, **change: Any) -> Relay:
        """Compare-and-swap."""
        if seen.metadata.resource_version != self.obj.metadata.resource_version:
            raise StaleError
        if (request := change.get("request")) is not None:
            before = self.obj.spec.request
            if before is not None:
                new, old = request.wire(), before.wire()
                if not all(rule.holds(new, old) for rule in RULES):
                    raise StaleError
            change = {"spec": self.obj.spec.model_copy(update={"request": request})}
        self.version += 1
        metadata = self.obj.metadata.model_copy(update={"resource_version": str(self.version)})
        self.obj = self.obj.model_copy(update={**change, "metadata": metadata})
        return self.obj

    # Everybody's steps.

    def wait(self, seconds: int) -> None:
        """Let time pass; what was sent lands."""
        self.now += seconds
        for effect in [one for one in self.flying if one.lands <= self.now]:
            self.flying.remove(effect)
            self.land(effect)

    def land(self, effect: Effect) -> None:
        assert effect.epoch == self.epoch, "nobody switches another lease's machine"
        self.power = "on" if effect.do == "cycle" else effect.do

    def holder_looks(self, _: int) -> None:
        if not self.ending:
            self.holder = self.epoch, self.obj

    def holder_asks(self, choice: int) -> None:
        """Write what was decided then, however long ago."""
        if self.holder is not None:
            epoch, seen = self.holder
            do = ("on", "off", "cycle")[choice % 3]
            self.write(seen, request=asked(seen, epoch, do, self.moment(), end=False))

    def lease_ends(self, _: int) -> None:
        self.ending = True

    def operator_goes_on(self, _: int) -> None:
        if self.ending:
            self.operate(self.epoch, self.obj)

    def operator_looks(self, _: int) -> None:
        """A leader stands still after it has looked."""
        if self.ending:
            self.operator = self.epoch, self.obj

    def former_leader_goes_on(self, _: int) -> None:
        if self.operator is not None:
            epoch, seen = self.operator
            self.operate(epoch, seen)

    def operate(self, epoch: int, seen: Relay) -> None:
        """One pass over an end, with the Relay as it was seen."""
        now = self.moment()
        step = closing(seen, epoch, now, has_deed=self.deed is not None)
        if step is Closing.CLOSE:
            self.write(seen, request=asked(seen, epoch, NOTHING, now, end=False))
            return
        if step is Closing.WAIT:
            return
        if self.deed is None:
            self.give_back(epoch, seen, failed=False)
            return
        far = progress(seen, epoch, now, TERMS).step
        if far is Step.ASK:
            self.write(seen, request=asked(seen, epoch, self.deed, now))
        elif far is Step.GIVE_UP:
            self.write(seen, request=asked(seen, epoch, NOTHING, now))
        elif far in (Step.DONE, Step.FAILED):
            self.give_back(epoch, seen, failed=far is Step.FAILED)

    def give_back(self, epoch: int, seen: Relay, *, failed: bool) -> None:
        """The lease is another object: its epoch alone refuses a former leader."""
        if epoch != self.epoch:
            return
        assert self.flying == [], "nothing that was sent for the lease is under way"
        if self.deed is not None and not failed:
            assert self.power == ("off" if self.deed == "off" else "on")
            assert is_done(seen)
        self.returned, self.failed = self.returned + 1, self.failed + failed
        self.epoch, self.ending, self.power = epoch + 1, False, "on"

    def keeper_goes_on(self, choice: int) -> None:
        keeper = self.keepers[choice % 2]
        if keeper.claimed is None:
            self.keeper_begins(keeper)
        elif keeper.sent is None:
            self.keeper_sends(keeper, choice)
        else:
            self.keeper_records(keeper)

    def keeper_begins(self, keeper: Keeper) -> None:
        if keeper.seen is None:
            keeper.seen, keeper.began = self.obj, self.now
            return
        seen, keeper.seen = keeper.seen, None
        due, now = schedule.due_at(seen, self.moment()), self.moment()
        request = schedule.wanted(seen, now)
        if due is None or due > now or request is None:
            return
        keeper.began = self.now
        keeper.claimed = self.write(seen, status=schedule.begun(seen, request, now))
        keeper.sent = None

    def keeper_sends(self, keeper: Keeper, choice: int) -> None:
        assert keeper.claimed is not None
        request = keeper.claimed.spec.request
        assert request is not None
        if self.now - keeper.began > CLAIM - ATTEMPT:
            keeper.claimed = None
            return
        keeper.sent = bool(choice % 3)
        if keeper.sent:
            self.land(Effect(request.do, request.epoch, self.now))
        elif choice % 5 == 0:  # it was heard, and the answer was lost
            self.flying.append(Effect(request.do, request.epoch, self.now + 1 + choice % (int(ATTEMPT) - 1)))

    def keeper_records(self, keeper: Keeper) -> None:
        claimed = keeper.claimed
        assert claimed is not None
        keeper.claimed = None
        if self.now - keeper.began >= CLAIM:
            return
        live = self.obj
        if (live.status.number, live.status.attempts) != (claimed.status.number, claimed.status.attempts):
            return
        result = Outcome(SWITCHED, "done") if keeper.sent else Outcome(UNREACHABLE, "no answer")
        if not keeper.sent and any(effect.lands > self.now for effect in self.flying):
            keeper.claimed = claimed  # the attempt itself lasts as long as the relay may still do it
            return
        self.write(live, status=schedule.ended(live, result, self.moment()))

    def keeper_dies(self, choice: int) -> None:
        keeper = self.keepers[choice % 2]
        keeper.seen = keeper.claimed = keeper.sent = None


ACTIONS: list[Callable[[World, int], None]] = [
    World.wait,
    World.holder_looks,
    World.holder_asks,
    World.lease_ends,
    World.operator_goes_on,
    World.operator_goes_on,
    World.operator_looks,
    World.former_leader_goes_on,
    World.keeper_goes_on,
    World.keeper_goes_on,
    World.keeper_goes_on,
    World.keeper_dies,
]
Steps = list[tuple[int, int]]
DEEDS = st.sampled_from(["off", "on", "cycle", None])


def steps_of(seed: int) -> Steps:
    """Up to 200 steps, each as likely as the others: lists that are drawn step by step stay short."""
    chance = random.Random(seed)  # noqa: S311 (a play)
    return [(chance.randrange(len(ACTIONS)), chance.randrange(21)) for _ in range(chance.randrange(200))]


STEPS = st.integers(0, 2**32).map(steps_of)


def played(deed: str | None, steps: Steps) -> World:
    """The world after some steps; stale writes are refused, as the store does."""
    world = World(deed)
    for number, choice in steps:
        try:
            ACTIONS[number](world, choice)
        except StaleError:
            continue
    return world


@settings(max_examples=1500)
@given(DEEDS, STEPS)
def test_a_lease_goes_back_when_its_end_was_done_or_given_up_and_nothing_of_it_comes_later(
    deed: str | None, steps: Steps
) -> None:
    played(deed, steps)


@given(DEEDS, STEPS, st.booleans())
def test_every_end_comes_to_an_end(deed: str | None, steps: Steps, obeys: bool) -> None:
    world = played(deed, steps)
    world.ending = True
    before = world.epoch
    for _ in range(400):
        world.wait(1)
        for action, choice in ((World.operator_goes_on, 0), (World.keeper_goes_on, 1 if obeys else 3)):
            try:
                action(world, choice)
            except StaleError:
                continue
        if world.epoch > before:
            return
    raise AssertionError("the lease was never given back")


def test_the_play_reaches_both_ends() -> None:
    begin = [(3, 0), (4, 0), *[(8, 1)] * 4, (4, 0)]
    done = played("off", begin)
    assert (done.returned, done.failed) == (1, 0)
    given_up = played("off", [(3, 0), (4, 0), *[(0, 20)] * 7, (4, 0), (4, 0)])
    assert (given_up.returned, given_up.failed) == (1, 1)


def test_a_request_is_never_that_of_a_former_epoch() -> None:
    request = RelayRequest.model_validate(
        {"epoch": 2, "number": 9, "do": "on", "end": False, "since": timestamp(after(0))}
    )
    world = World("off")
    world.write(world.obj, request=request.model_copy(update={"epoch": 3}))
    for number in (9, 10, 11):
        try:
            world.write(world.obj, request=request.model_copy(update={"number": number}))
        except StaleError:
            continue
        raise AssertionError("the store took a request of an earlier epoch")
    assert parse_time(request.since) == after(0)
    assert RelayStatus().attempts == 0
