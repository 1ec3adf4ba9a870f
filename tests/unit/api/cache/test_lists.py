"""Lists that are kept while things change are those that a look at everything would give."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from berth_api.cache import listing
from berth_api.cache.deployment import Deployment
from berth_api.cache.listing import Filters, Row
from berth_api.cache.lists import MANY, VIEWS, Rows
from berth_core.queue.order import waits
from berth_core.resources import Reservation, WorkspaceType

from ..samples import CREATED, deployment, held, offline, reservation

KINDS = ("arm", "leg", "Hand")
NAMES = tuple(f"d{n}" for n in range(8))
CREATIONS = (CREATED, "2026-01-02T00:00:00Z")
QUERIES: tuple[dict[str, str], ...] = (
    {},
    {"q": "HAN"},
    {"q": "type of"},
    {"q": "zürich", "sort_by": "dec_created"},
    {"maxlen": "0"},
    {"maxlen": "1", "sort_by": "dec_wtype"},
    {"types": "arm,leg", "sort_by": "inc_count"},
    {"types": "!arm", "sort_by": "dec_count"},
    {"with_dissolved": "", "sort_by": "inc_created"},
    {"with_dissolved": "", "q": "own"},
    {"with_dissolved": ""},
)


def kind(name: str, description: str, addons: list[str]) -> WorkspaceType:
    spec = {"typeName": name, "description": description, "supportedAddons": addons, "template": {"image": "i"}}
    return WorkspaceType.parse({"metadata": {"name": "t", "namespace": "lab"}, "spec": spec})


def expected(world: "World", query: dict[str, str]) -> list[tuple[str, Any]]:
    """Names and what is shown, from a pass over everything, by other means than `Rows`."""
    found = []
    for wd in world.deployments.values():
        known = world.kinds.get(wd.type)
        about = wd.resource.spec.description or (known.spec.description if known else "")
        applying = 0
        for one in filter(waits, world.reservations.values()):
            applying += one.spec.workspace_type == wd.type or wd.name in (one.spec.deployments or ())
        length = 0 if wd.resource.status.lease is None and not applying else 1 + applying
        found.append(Row(wd, about, length, known))
    chosen = [row for row in found if listing.passes(row, listing.filters(query, None))]
    keys: dict[str, Callable[[Row], Any]] = {
        "wtype": lambda row: row.deployment.type,
        "created": lambda row: row.deployment.resource.metadata.creation_timestamp,
        "count": lambda row: row.deployment.resource.status.instances,
    }
    direction, _, field = query.get("sort_by", "inc_wtype").partition("_")
    # Sorting is stable, in both directions.
    chosen.sort(key=lambda row: (not row.deployment.is_free, row.queue_length, row.deployment.id))
    chosen.sort(key=keys[field], reverse=direction == "dec")
    return [(row.deployment.id, orjson.dumps(row.info)) for row in chosen]


class World(RuleBasedStateMachine):
    """Changes in any order, and in between questions that make and keep views, and some of the work that is due."""

    @initialize(many=st.integers(0, 4))
    def begin(self, many: int) -> None:
        self.rows = Rows(many)
        self.deployments: dict[str, Deployment] = {}
        self.kinds: dict[str, WorkspaceType] = {}
        self.reservations: dict[str, Reservation] = {}
        for name in NAMES:
            self.deployment(name, "arm", {}, CREATED)
        for order in sorted(listing.ORDERS):
            self.rows.prepare(order)

    def deployment(self, name: str, kind: str, status: dict[str, Any], created: str, **spec: Any) -> None:
        self.deployments[name] = deployment(name, status=status, created=created, type=kind, **spec)
        self.rows.deployment_changed(("lab", name), self.deployments[name])

    @rule(
        name=st.sampled_from(NAMES),
        kind=st.sampled_from(KINDS),
        description=st.sampled_from(["", "its own"]),
        region=st.sampled_from(["lab", "Zürich"]),
        status=st.sampled_from([{}, held(), offline(), held() | {"instances": 3}, {"instances": 2}]),
        dissolved=st.sampled_from([None, CREATED]),
        lockout=st.booleans(),
        created=st.sampled_from(CREATIONS),
    )
    def a_deployment(self, **fields: Any) -> None:
        self.deployment(**fields)

    @rule(name=st.sampled_from(NAMES))
    def no_deployment(self, name: str) -> None:
        self.deployments.pop(name, None)
        self.rows.deployment_changed(("lab", name), None)

    @rule(
        name=st.sampled_from(KINDS),
        description=st.sampled_from(["", "type of it"]),
        addons=st.sampled_from([[], ["cam"]]),
    )
    def kind(self, name: str, description: str, addons: list[str]) -> None:
        self.kinds[name] = kind(name, description, addons)
        self.rows.type_changed("lab", name, self.kinds[name])

    @rule(name=st.sampled_from(KINDS))
    def no_kind(self, name: str) -> None:
        self.kinds.pop(name, None)
        self.rows.type_changed("lab", name, None)

    @rule(
        name=st.sampled_from(["a", "b", "c"]),
        wanted=st.one_of(
            st.sampled_from(KINDS).map(lambda name: {"workspaceType": name}),
            st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(lambda names: {"deployments": names}),
        ),
        granted=st.booleans(),
    )
    def reservation(self, name: str, wanted: dict[str, Any], granted: bool) -> None:
        status = {"grant": {"deployment": "d0", "epoch": 1, "instance": "i"}} if granted else {}
        new = reservation(name, status=status, **wanted)
        self.rows.reservation_changed(self.reservations.get(name), new)
        self.reservations[name] = new

    @rule(name=st.sampled_from(["a", "b", "c"]))
    def no_reservation(self, name: str) -> None:
        self.rows.reservation_changed(self.reservations.pop(name, None), None)

    @rule(query=st.sampled_from(QUERIES))
    def question(self, query: dict[str, str]) -> None:
        """While some rows may be in doubt: the view is made from them and must come right."""
        self.rows.ids(listing.filters(query, None), query)

    @rule(most=st.integers(1, 3), times=st.integers(1, 8))
    def some_work(self, most: int, times: int) -> None:
        for _ in range(times):
            self.rows.settle(most)

    @rule()
    def lists_are_right_once_settled(self) -> None:
        while not self.rows.is_settled:
            self.rows.settle(2)
        for query in QUERIES:
            page = self.rows.page(listing.filters(query, None), query)
            shown = [(row.deployment.id, orjson.dumps(row.info)) for row in page.items]
            assert shown == expected(self, query), query
            assert list(self.rows.ids(listing.filters(query, None), query).items) == [one for one, _ in shown]
        dissolved = {wd.type for wd in self.deployments.values() if wd.is_dissolved}
        assert set(self.rows.dissolved) == dissolved

    def teardown(self) -> None:
        """Whatever came last."""
        self.lists_are_right_once_settled()


World.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestRows = World.TestCase


@pytest.mark.parametrize(("number", "shown"), [(MANY, 10), (MANY + 1, 0)])
def test_a_change_that_many_follow_from_comes_in_pieces(number: int, shown: int) -> None:
    rows = Rows()
    for one in range(number):
        rows.deployment_changed(("lab", f"d{one}"), deployment(f"d{one}"))
    assert len(rows.ids(Filters(text="queue"), {}).items) == 0
    rows.type_changed("lab", "arm", kind("arm", "In the queue", []))
    assert not rows.is_settled
    rows.settle(10)
    assert len(rows.ids(Filters(text="queue"), {}).items) == shown
    while not rows.is_settled:
        rows.settle(100)
    assert len(rows.ids(Filters(text="queue"), {}).items) == number


def test_changes_that_do_not_cease_are_shown_all_the_same() -> None:
    """While all rows come in doubt again before they were all made anew."""
    rows = Rows(many=1)
    for one in range(100):
        rows.deployment_changed(("lab", f"d{one}"), deployment(f"d{one}"))
    rows.prepare("inc_wtype")
    shown = set()
    for number in range(100):
        rows.reservation_changed(None, reservation(f"r{number}", workspaceType="arm"))
        rows.settle(5)
        shown.add(rows.page(Filters(), {}).items[0].queue_length)
    assert len(shown) > 5


def test_views_that_nobody_asks_for_any_more_are_forgotten_but_right_when_asked_again() -> None:
    rows = Rows()
    rows.deployment_changed(("lab", "d"), deployment("d"))
    for number in range(2 * VIEWS):
        assert rows.ids(Filters(text=f"{number}"), {}).items == []
    rows.deployment_changed(("lab", "d"), deployment("d", region="lab 0"))
    assert len(rows.ids(Filters(text="0"), {}).items) == 1


def test_what_changes_while_many_rows_are_made_anew_is_shown_as_it_is_last() -> None:
    keys = [("lab", f"d{one}") for one in range(9)]
    for steps in range(12):
        rows = Rows(many=0)
        for key in keys:
            rows.deployment_changed(key, deployment(key[1]))
        rows.prepare("inc_wtype")
        rows.type_changed("lab", "arm", kind("arm", "new", []))
        for _ in range(steps):
            rows.settle(1)
        for key in keys[:-1]:
            rows.deployment_changed(key, deployment(key[1], region="moved"))
        rows.deployment_changed(keys[-1], None)
        while not rows.is_settled:
            rows.settle(1)
        shown = [(row.deployment.resource.spec.region, row.description) for row in rows.page(Filters(), {}).items]
        assert shown == [("moved", "new")] * 8, steps
