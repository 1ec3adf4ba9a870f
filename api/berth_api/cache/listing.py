"""Filters, order and pages of lists, from query parameters that fall back to their defaults. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Generic, TypeVar

import orjson

from berth_api.cache.deployment import Deployment
from berth_api.cache.info import deployment_info
from berth_core.resources import WorkspaceType

Item = TypeVar("Item")
Key = tuple[str, str]
"""(namespace, name)"""
Tie = tuple[bool, int, str, str, str]
"""Order among equals: free ones first, then the shorter queue, then id, namespace, name. No two are the same."""
Place = tuple[str | int | tuple[int, ...], Tie]
"""Sort key of a row in one order; no two rows have the same."""

GREATEST: Final = 10**18
"""Longer than any list; greater numbers make no difference."""
FALSE_WORDS: Final = frozenset({"0", "f", "false"})
INCREASING_TYPE: Final = "inc_wtype"
DECREASING_START: Final = "dec_start_date"
ORDERS: Final = frozenset({INCREASING_TYPE, "dec_wtype", "inc_created", "dec_created", "inc_count", "dec_count"})
_INSTANCE_ORDERS: Final = frozenset({DECREASING_START, "inc_start_date"})


@dataclass(frozen=True)
class Page(Generic[Item]):
    """One page, and how many there are (at least one)."""

    items: Sequence[Item]
    count: int


@dataclass(frozen=True, slots=True)
class Row:
    """A deployment with all that lists show, search and sort by, computed once."""

    deployment: Deployment
    description: str
    queue_length: int
    kind: WorkspaceType | None = None
    key: Key = field(init=False)
    id: str = field(init=False)
    type: str = field(init=False)
    is_dissolved: bool = field(init=False)
    text: str = field(init=False, repr=False)
    """Type, region and description, case folded, with NUL between them."""
    tie: Tie = field(init=False, repr=False)
    info: orjson.Fragment = field(init=False, repr=False, compare=False)
    """Its entry in lists with ``info``, as JSON."""

    def __post_init__(self) -> None:
        wd, region = self.deployment, self.deployment.resource.spec.region
        info = deployment_info(wd, self.kind, self.description, self.queue_length)
        derived = {
            "key": (wd.namespace, wd.name),
            "id": wd.id,
            "type": wd.type,
            "is_dissolved": wd.is_dissolved,
            "text": "\0".join(folded(text) for text in (wd.type, region, self.description)),
            "tie": (not wd.is_free, self.queue_length, wd.id, wd.namespace, wd.name),
            "info": orjson.Fragment(orjson.dumps(info)),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Filters:
    """Filters of a list of deployments; ``included`` None is all types."""

    text: str = ""
    longest: int | None = None
    included: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()
    with_dissolved: bool = False


def flag(query: Mapping[str, str], name: str) -> bool:
    """Read a flag: true when present, unless its value says no."""
    value = query.get(name)
    return value is not None and value.lower() not in FALSE_WORDS


def natural(text: str | None) -> int | None:
    """Read a non-negative integer in plain digits, GREATEST for what is greater; None for anything else."""
    if text is None or not (text.isascii() and text.isdecimal()):
        return None
    digits = text.lstrip("0")
    # Python reads no integer of more than some thousand digits.
    return int(digits or "0") if len(digits) < len(str(GREATEST)) else GREATEST


def filters(query: Mapping[str, str], suffix: str | None) -> Filters:
    """Read the filters; ``suffix`` is the type in the path, which ``types`` overrides."""
    included, excluded = frozenset({suffix} if suffix is not None else ()), frozenset[str]()
    if "types" in query:
        words = [word.strip() for word in query["types"].replace("%21", "!").split(",") if word.strip()]
        excluded = frozenset(word[1:] for word in words if word.startswith("!"))
        included = frozenset(word for word in words if not word.startswith("!"))
    return Filters(
        text=folded(query.get("q", "")),
        longest=natural(query.get("maxlen")),
        included=included or None,
        excluded=excluded,
        with_dissolved=flag(query, "with_dissolved"),
    )


def folded(text: str) -> str:
    """Return a text as searches compare it: in one case, and without NUL, which separates the texts of a row."""
    return text.replace("\0", "").casefold()


def passes(row: Row, filters: Filters) -> bool:
    """Whether a deployment belongs to the list."""
    return bool(chosen([row], filters))


def chosen(rows: Iterable[Row], filters: Filters) -> list[Row]:
    """Return the rows that belong to the list, in the order given. Some milliseconds for 10,000 of them."""
    passing = list(rows)
    if filters.included is not None:
        passing = [row for row in passing if row.type in filters.included]
    if filters.excluded:
        passing = [row for row in passing if row.type not in filters.excluded]
    if not filters.with_dissolved:
        passing = [row for row in passing if not row.is_dissolved]
    if filters.longest is not None:
        passing = [row for row in passing if row.queue_length <= filters.longest]
    if filters.text:
        passing = [row for row in passing if filters.text in row.text]
    return passing


def order(sort_by: str | None) -> str:
    """Read the order of a list of deployments."""
    return sort_by if sort_by in ORDERS else INCREASING_TYPE


def placed(order: str) -> Callable[[Row], Place]:
    """Return the sort key of one of the orders; ties are broken the same way in both directions."""
    return _PLACES[order]


@lru_cache(maxsize=32_768)
def _backwards(text: str) -> tuple[int, ...]:
    """Return a key that sorts in the reverse order of the text; the end comes after every character."""
    return (*(-ord(character) for character in text), 1)


_PLACES: Final[Mapping[str, Callable[[Row], Place]]] = {
    "inc_wtype": lambda row: (row.type, row.tie),
    "dec_wtype": lambda row: (_backwards(row.type), row.tie),
    "inc_created": lambda row: (row.deployment.resource.metadata.creation_timestamp, row.tie),
    "dec_created": lambda row: (_backwards(row.deployment.resource.metadata.creation_timestamp), row.tie),
    "inc_count": lambda row: (row.deployment.resource.status.instances, row.tie),
    "dec_count": lambda row: (-row.deployment.resource.status.instances, row.tie),
}


def newest_first(sort_by: str | None) -> bool:
    """Whether a list of instances starts with the latest."""
    return (sort_by if sort_by in _INSTANCE_ORDERS else DECREASING_START) == DECREASING_START


def paged(items: Sequence[Item], query: Mapping[str, str]) -> Page[Item]:
    """Cut out the page that ``max_per_page`` (0: all on one) and ``page`` (from 1; past the end: the last) ask for."""
    size = natural(query.get("max_per_page")) or 0
    if size == 0:
        return Page(items, 1)
    count = max(1, -(-len(items) // size))
    number = min(max(natural(query.get("page")) or 1, 1), count)
    return Page(items[(number - 1) * size : number * size], count)
