"""Lists of deployments that are kept while deployments, types and reservations change. Pure.

A list is a view: the rows that pass some filters, in some order. Views are kept, and each change of a row moves that
row alone, by bisection. A change that affects many rows (of a type's description, of a queue) only puts them in doubt.
:meth:`Rows.settle` works doubts off in pieces, so that nobody waits long for the event loop. Where very many rows are
in doubt, all of them are made anew first. Then one order after the other is sorted, which is much less work than
moving each row.
"""

from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Final

from berth_api.cache import listing
from berth_api.cache.deployment import Deployment
from berth_api.cache.listing import Filters, Key, Page, Place, Row
from berth_core.queue.order import Queues, waits
from berth_core.resources import Reservation, WorkspaceType

VIEWS: Final = 64
"""Filtered views that are kept: each spares up to 0.4 ms a request, and costs some microseconds with each change."""
MANY: Final = 500
"""Rows in doubt beyond which views are sorted anew: 0.4 s for 10,000, where moving them in 15 views takes 1.9 s."""
_EVERYTHING: Final = Filters(with_dissolved=True)


class View:
    """Rows that pass some filters, in order. ``rows`` are in this order already."""

    def __init__(self, filters: Filters, order: str, rows: Iterable[Row]) -> None:
        self.filters = filters
        self.rows = listing.chosen(rows, filters)
        self._place = listing.placed(order)

    def replace(self, old: Row | None, new: Row | None) -> None:
        """Apply a change of one row; None where it is new, or was deleted."""
        was = self._place(old) if old is not None and listing.passes(old, self.filters) else None
        now = self._place(new) if new is not None and listing.passes(new, self.filters) else None
        if was is not None and was == now and new is not None:
            self.rows[self._find(was)] = new
            return
        if was is not None:
            del self.rows[self._find(was)]
        if now is not None and new is not None:
            self.rows.insert(self._find(now), new)

    def remake(self, latest: Mapping[Key, Row]) -> None:
        """Apply a change of many rows, none of which is new or deleted."""
        self.rows = [latest[row.key] for row in self.rows]
        self.rows.sort(key=self._place)

    def _find(self, place: Place) -> int:
        return bisect_left(self.rows, place, key=self._place)


class Rows:
    """All deployments as rows, and views of them."""

    def __init__(self, many: int = MANY) -> None:
        self._many = many
        self.queues = Queues()
        self.dissolved: Counter[str] = Counter()
        """Dissolved deployments by the name of their type."""
        self._rows: dict[Key, Row] = {}
        self._types: dict[Key, WorkspaceType] = {}
        self._by_type: dict[Key, dict[Key, None]] = {}
        self._doubted: dict[Key, None] = {}
        self._to_make: list[Key] = []
        self._new_rows: dict[Key, Row] = {}
        """Of many rows in doubt: keys yet to be made anew, and rows made anew that no view has yet."""
        self._behind: set[str] = set()
        self._before: dict[Key, Row] = {}
        """Orders whose views are behind ``_rows``, and the former rows that they still have."""
        self._whole: dict[str, View] = {}
        self._views: OrderedDict[tuple[Filters, str], View] = OrderedDict()

    @property
    def is_settled(self) -> bool:
        """Whether all rows and views are current."""
        return not (self._doubted or self._to_make or self._behind)

    def deployment_changed(self, key: Key, deployment: Deployment | None) -> None:
        """Take in a deployment; None where it was deleted."""
        self._replace(key, self._row(deployment) if deployment is not None else None)

    def type_changed(self, namespace: str, name: str, kind: WorkspaceType | None) -> None:
        """Take in the type that has a name now; None where none has."""
        before = self._types.pop((namespace, name), None)
        if kind is not None:
            self._types[namespace, name] = kind
        if _facts(before) != _facts(kind):
            self._doubt(self._by_type.get((namespace, name), {}))

    def reservation_changed(self, old: Reservation | None, new: Reservation | None) -> None:
        """Take in a reservation; None where it is new, or was deleted."""
        if old is not None:
            self.queues.remove(old)
        if new is not None:
            self.queues.add(new)
        if old is not None and new is not None and (waits(old), old.spec) == (waits(new), new.spec):
            return
        for reservation in (old, new):
            if reservation is not None:
                namespace, spec = reservation.metadata.namespace, reservation.spec
                self._doubt(self._by_type.get((namespace, spec.workspace_type or ""), {}))
                self._doubt((namespace, name) for name in spec.deployments or ())

    def settle(self, most: int) -> None:
        """Work off some doubts: ``most`` rows; where many are in doubt, four times as many, or one order."""
        if self._behind:
            self._remake(self._behind.pop())
        elif self._to_make:
            self._make(4 * most)
        elif len(self._doubted) > self._many:
            # Rows that come in doubt from now on have their turn after them.
            self._to_make = list(self._doubted)
            self._doubted.clear()
        else:
            for key in list(islice(self._doubted, most)):
                del self._doubted[key]
                if (old := self._rows.get(key)) is not None:
                    self._replace(key, self._row(old.deployment))

    def prepare(self, order: str) -> None:
        """Make the full list from which all views of an order are made."""
        if order not in self._whole:
            self._whole[order] = View(_EVERYTHING, order, sorted(self._rows.values(), key=listing.placed(order)))

    def view(self, filters: Filters, order: str) -> View:
        """Return the rows that pass, in order."""
        self.prepare(order)
        if filters == _EVERYTHING:
            return self._whole[order]
        view = self._views.get((filters, order))
        if view is None:
            view = self._views[filters, order] = View(filters, order, self._whole[order].rows)
            if len(self._views) > VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end((filters, order))
        return view

    def ids(self, filters: Filters, query: Mapping[str, str]) -> Page[str]:
        """One page of public ids, as the query asks."""
        page = self.page(filters, query)
        return Page([row.id for row in page.items], page.count)

    def page(self, filters: Filters, query: Mapping[str, str]) -> Page[Row]:
        """One page of rows, as the query asks."""
        return listing.paged(self.view(filters, listing.order(query.get("sort_by"))).rows, query)

    def _row(self, deployment: Deployment) -> Row:
        kind = self._types.get((deployment.namespace, deployment.type))
        length = self.queues.length(deployment.resource)
        return Row(deployment, describe(deployment, kind), length, kind)

    def _make(self, most: int) -> None:
        """Make some of many rows anew; with the last of them all views fall behind."""
        for key in self._to_make[-most:]:
            if (old := self._rows.get(key)) is not None:
                self._new_rows[key] = self._row(old.deployment)
        del self._to_make[-most:]
        if not self._to_make:
            self._before = {key: self._rows[key] for key in self._new_rows}
            self._rows.update(self._new_rows)
            self._new_rows.clear()
            self._behind = set(self._whole)

    def _remake(self, order: str) -> None:
        self._whole[order].remake(self._rows)
        for key in [key for key in self._views if key[1] == order]:
            del self._views[key]

    def _replace(self, key: Key, new: Row | None) -> None:
        old = self._rows.get(key)
        before = self._before.pop(key, old)
        self._new_rows.pop(key, None)
        if old is not None:
            self._count(key, old, -1)
        if new is not None:
            self._rows[key] = new
            self._count(key, new, 1)
        elif old is not None:
            del self._rows[key]
        for order, view in self._whole.items():
            view.replace(before if order in self._behind else old, new)
        for (_, order), view in self._views.items():
            view.replace(before if order in self._behind else old, new)

    def _count(self, key: Key, row: Row, change: int) -> None:
        deployment = row.deployment
        type_key = deployment.namespace, deployment.type
        if change > 0:
            self._by_type.setdefault(type_key, {})[key] = None
        else:
            del self._by_type[type_key][key]
            if not self._by_type[type_key]:
                del self._by_type[type_key]
        if deployment.is_dissolved:
            self.dissolved[deployment.type] += change
            if not self.dissolved[deployment.type]:
                del self.dissolved[deployment.type]

    def _doubt(self, keys: Iterable[Key]) -> None:
        self._doubted.update(dict.fromkeys(keys))


def describe(deployment: Deployment, kind: WorkspaceType | None) -> str:
    """Return a deployment's description, else its type's."""
    return deployment.resource.spec.description or (kind.spec.description if kind is not None else "")


def _facts(kind: WorkspaceType | None) -> tuple[str, list[str]] | None:
    return (kind.spec.description, kind.spec.supported_addons) if kind is not None else None
