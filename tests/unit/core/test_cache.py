"""The cache of one kind tells its listeners of what its readers see; it is fed as watches and lists feed it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from berth_core.kube.cache import MOST_TOMBSTONES, Cache
from berth_core.kube.types import Object

KEY = ("lab", "one")
Told = tuple[tuple[str, str], str | None, str | None]


def obj(version: int, colour: Any = "red", name: str = "one", namespace: str = "lab") -> Object:
    return {
        "metadata": {"namespace": namespace, "name": name, "resourceVersion": str(version)},
        "spec": {"colour": colour},
    }


def colour_of(one: Object) -> str | None:
    colour = one["spec"]["colour"]
    return colour if isinstance(colour, str) else None


def listened() -> tuple[Cache[str], list[Told]]:
    cache, told = Cache(colour_of, {"length": lambda colour: (str(len(colour)),)}), list[Told]()
    cache.listen(lambda *change: told.append(change))
    return cache, told


def test_listeners_hear_of_each_change_with_what_was_there_before() -> None:
    cache, told = listened()
    cache.hear(obj(1))
    cache.hear(obj(1))
    cache.hear(obj(3, "blue"))
    cache.hear(obj(2))
    cache.remove(obj(4, "blue"))
    cache.remove(obj(4, "blue"))
    assert told == [(KEY, None, "red"), (KEY, "red", "blue"), (KEY, "blue", None)]


def test_an_unreadable_object_is_told_of_as_none_until_it_is_mended_or_gone() -> None:
    cache, told = listened()
    cache.hear(obj(1))
    cache.hear(obj(2, colour=7))
    assert cache.unreadable_one(*KEY) == obj(2, colour=7)
    cache.hear(obj(3, "blue"))
    cache.hear(obj(4, colour=8))
    cache.remove(obj(5))
    assert cache.unreadable() == []
    assert told == [
        (KEY, None, "red"),
        (KEY, "red", None),
        (KEY, None, "blue"),
        (KEY, "blue", None),
        (KEY, None, None),
    ]


def test_a_list_of_one_namespace_forgets_nothing_of_another() -> None:
    cache, told = listened()
    for namespace in ("lab", "other"):
        cache.hear(obj(1, namespace=namespace))
    cache.hear(obj(2, colour=7, name="unreadable"))
    told.clear()
    assert cache.retain("lab", set(), "9") == ["red", obj(2, colour=7, name="unreadable")]
    assert told == [(KEY, "red", None), (("lab", "unreadable"), None, None)]
    assert list(cache) == cache.by("length", "3", "other") == ["red"]
    assert cache.by("length", "3", "lab") == []


def test_deletions_of_long_ago_are_forgotten_and_later_ones_are_not() -> None:
    cache, _ = listened()
    for number in range(MOST_TOMBSTONES + 1):
        cache.remove(obj(5, name=f"n{number}"))
    assert cache.put(obj(4, name="n0"))
    assert not cache.put(obj(4, name="n1"))


@given(st.lists(st.tuples(st.sampled_from(["put", "hear", "remove"]), st.integers(1, 9), st.integers(0, 3))))
def test_an_object_is_never_older_than_anything_that_was_known_of_it(steps: list[tuple[str, int, int]]) -> None:
    cache, newest = Cache(lambda one: one), 0
    for way, version, colour in steps:
        getattr(cache, way)(obj(version, colour=str(colour)))
        newest = max(newest, version)
        shown = cache.get(*KEY)
        assert shown is None or shown["metadata"]["resourceVersion"] == str(newest)
