"""How messages of one process travel to the API server and back, and what faults do to them."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from berth_core.kube.types import Object

from .loops import Scheduler
from .wire import Commit, Request, Response

Answered = Callable[[Response, float], object]
"""Is given an answer, and the second of the world at which the server gave it."""
REFUSED_CONNECTION = Response(0, {"message": "the connection was refused"})
"""Answer to a process that cannot connect: no HTTP status."""
DENIED = 'admission webhook "policy.example" denied the request'
"""Words of a policy of the cluster's owner."""


@dataclass
class Troubles:
    """Troubles between one process and the API server. Chances are of one request."""

    cut: bool = False
    """Nothing arrives, in either direction."""
    lose_request: float = 0.0
    lose_answer: float = 0.0
    refuse: float = 0.0
    """Chance of an answer that a busy or restarted API server gives: 429, 500, 503."""
    unread_roles: bool = False
    """A restarted API server has not read its roles yet: writes are refused with 403."""
    denies: Callable[[Request], int] | None = None
    """The HTTP status with which a policy of the cluster's owner refuses a write; 0 where it lets it in."""
    holds: list[Callable[[Request], float]] = field(default_factory=list)
    """Seconds by which a request comes later; of several faults at once the latest counts."""
    hold_watches: float = 0.0
    """Most seconds by which news, and pushes to agents, come later."""


@dataclass
class Network:
    """The way of one process to the API server: ``handle`` is the server."""

    world: Scheduler
    handle: Callable[[Request], Response]
    base: float = 0.002
    slow: float = 0.03
    """How often a message is slow."""
    slow_seconds: float = 0.3
    troubles: Troubles = field(default_factory=Troubles)

    def delay(self) -> float:
        """Return how long one message takes."""
        draw = self.world.random
        if draw.random() < self.slow:
            return draw.uniform(self.base, self.slow_seconds)
        return draw.uniform(self.base * 0.3, self.base * 3)

    def ask(self, request: Request, answered: Answered) -> None:
        """Have the server answer, in some time or never."""
        troubles, draw, world = self.troubles, self.world.random, self.world
        if troubles.cut:
            if draw.random() < 0.5:
                world.at(self.delay(), lambda: answered(REFUSED_CONNECTION, world.now))
            return
        late = max((hold(request) for hold in [*troubles.holds]), default=0.0)
        if draw.random() < troubles.lose_request:
            return
        lost = draw.random() < troubles.lose_answer

        def arrive() -> None:
            refused = self._refused(request, draw)
            response = refused or self.handle(request)
            said_at = world.now
            if not lost and not troubles.cut:
                world.at(self.delay(), lambda: answered(response, said_at))

        world.at(self.delay() + late, arrive)

    def _refused(self, request: Request, draw: random.Random) -> Response | None:
        troubles = self.troubles
        if troubles.refuse and draw.random() < troubles.refuse:
            status = draw.choice((429, 500, 503))
            return Response(status, {"kind": "Status", "message": "try again later", "code": status})
        if troubles.denies is not None and (status := troubles.denies(request)):
            return Response(status, {"kind": "Status", "message": DENIED, "reason": "Forbidden", "code": status})
        if troubles.unread_roles and request.method != "GET":
            message = 'forbidden: RBAC: clusterrole.rbac.authorization.k8s.io "berth" not found'
            return Response(403, {"kind": "Status", "message": message, "reason": "Forbidden", "code": 403})
        return None


class Feed:
    """One watch that stands: is told when there may be something new."""

    def __init__(self, network: Network, wake: Callable[[], object]) -> None:
        self._network = network
        self._wake = wake
        self._due = False

    def commit(self) -> None:
        """Take note of a commit of the watched kind."""
        if self._due:
            return
        self._due = True
        network = self._network
        late = network.troubles.hold_watches
        delay = network.delay() + (network.world.random.uniform(0.0, late) if late else 0.0)
        network.world.at(delay, self._fire)

    def _fire(self) -> None:
        self._due = False
        self._wake()


class Feeds:
    """All watches, by the kind's plural."""

    def __init__(self) -> None:
        self._by_plural: dict[str, dict[int, Feed]] = {}

    def commit(self, commit: Commit) -> None:
        """Tell who watches."""
        for feed in list(self._by_plural.get(commit.plural, {}).values()):
            feed.commit()

    def add(self, plural: str, feed: Feed) -> None:
        """Tell a watch from now on."""
        self._by_plural.setdefault(plural, {})[id(feed)] = feed

    def remove(self, plural: str, feed: Feed) -> None:
        """Tell it no more."""
        self._by_plural.get(plural, {}).pop(id(feed), None)


def sent(body: Object | None) -> Object | None:
    """Return a body as it travels: what is changed after it was sent changes nothing."""
    if body is None:
        return None
    travelling: Object = orjson.loads(orjson.dumps(body))
    return travelling
