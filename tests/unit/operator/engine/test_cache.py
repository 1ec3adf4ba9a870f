from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from berth_core.resources import Instance
from berth_operator.kinds import ACCESS_RULES, INSTANCES, PODS, RESERVATIONS
from berth_operator.registry import make_caches


def pod(version: int, *, instance: str = "a", name: str = "p") -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "lab",
            "name": name,
            "resourceVersion": str(version),
            "labels": {"berth.dev/instance": instance},
        },
        "spec": {},
    }


def test_versions_only_go_forward() -> None:
    cache = make_caches()[PODS]
    assert cache.put(pod(5, instance="b"))
    assert not cache.put(pod(4, instance="a"))
    assert [o["metadata"]["resourceVersion"] for o in cache.by("instance", "b")] == ["5"]
    assert cache.by("instance", "a") == []


def test_a_late_answer_does_not_bring_back_what_was_deleted() -> None:
    cache = make_caches()[PODS]
    cache.put(pod(5))
    cache.remove(pod(6))
    assert not cache.put(pod(5))
    assert cache.get("lab", "p") is None
    assert cache.put(pod(9))


def test_a_late_deletion_does_not_remove_a_successor() -> None:
    cache = make_caches()[PODS]
    cache.put(pod(9))
    cache.remove(pod(6))
    assert cache.get("lab", "p") is not None


def test_a_list_shows_what_vanished_and_spares_what_is_younger() -> None:
    cache = make_caches()[PODS]
    for name, version in (("gone", 3), ("kept", 4), ("younger", 12)):
        cache.put(pod(version, name=name))
    vanished = cache.retain("lab", {("lab", "kept")}, "10")
    assert [o["metadata"]["name"] for o in vanished] == ["gone"]
    assert sorted(o["metadata"]["name"] for o in cache) == ["kept", "younger"]


def test_each_version_is_parsed_once() -> None:
    cache = make_caches()[INSTANCES]
    cache.put(waiting(5))
    (first,) = cache.models(Instance.parse, "waiting", "yes", "lab")
    assert cache.models(Instance.parse, "waiting", "yes", "lab") == [first]
    assert cache.models(Instance.parse, "waiting", "yes", "lab")[0] is first
    cache.hear(waiting(6))
    (second,) = cache.models(Instance.parse, "waiting", "yes", "lab")
    assert (first.metadata.resource_version, second.metadata.resource_version) == ("5", "6")
    cache.remove(waiting(7))
    assert cache.models(Instance.parse, "waiting", "yes", "lab") == []


def waiting(version: int) -> dict[str, Any]:
    metadata = {"namespace": "lab", "name": "i", "uid": "u", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"user": "ada", "workspaceType": "bench"}}


def test_what_a_watch_tells_is_news_once() -> None:
    cache = make_caches()[PODS]
    assert cache.hear(pod(5))
    assert not cache.hear(pod(5)), "a list that begins the watch anew"
    assert not cache.hear(pod(4))
    assert [o["metadata"]["resourceVersion"] for o in cache] == ["5"]
    cache.remove(pod(6))
    assert not cache.hear(pod(6))
    assert cache.hear(pod(7))


def test_what_was_written_is_news_when_the_watch_tells_of_it() -> None:
    cache = make_caches()[PODS]
    cache.hear(pod(5))
    cache.put(pod(6))
    assert cache.hear(pod(6))
    cache.put(pod(6))
    assert not cache.hear(pod(6)), "a read of what was heard changes nothing"


def test_what_a_pass_over_everything_has_seen_is_no_news() -> None:
    cache = make_caches()[PODS]
    cache.put(pod(5))
    cache.all_heard()
    assert not cache.hear(pod(5))
    assert cache.hear(pod(6))


def test_instances_are_found_by_their_public_id_and_while_they_wait() -> None:
    cache = make_caches()[INSTANCES]
    made = {
        "metadata": {"namespace": "lab", "name": "mine", "uid": "u-1", "resourceVersion": "1"},
        "spec": {"user": "ada", "workspaceType": "bench"},
    }
    cache.put(made)
    assert cache.by("id", "u-1")
    assert cache.by("waiting", "yes", "lab")
    bound = {**made, "metadata": {**made["metadata"], "resourceVersion": "2"}}
    cache.put({**bound, "status": {"epoch": 1, "deployment": "one"}})
    assert not cache.by("waiting", "yes")
    assert cache.by("deployment", "one")


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.sampled_from("ab")), max_size=40))
def test_the_index_always_says_what_the_objects_say(events: list[tuple[bool, int, str]]) -> None:
    cache = make_caches()[PODS]
    for deletes, version, instance in events:
        if deletes:
            cache.remove(pod(version, instance=instance))
        else:
            cache.put(pod(version, instance=instance))
    known = list(cache)
    for instance in "ab":
        wanted = [o for o in known if o["metadata"]["labels"]["berth.dev/instance"] == instance]
        assert cache.by("instance", instance) == wanted


def reservation(version: int, **spec: Any) -> dict[str, Any]:
    metadata = {"namespace": "lab", "name": "r", "uid": "u", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"user": "ada", "workspaceType": "arm", "instance": {"user": "ada"}} | spec}


def test_what_cannot_be_read_is_kept_apart() -> None:
    cache = make_caches()[RESERVATIONS]
    cache.put(reservation(5))
    assert cache.hear(reservation(6, priority=2000))
    assert cache.get("lab", "r") is None
    assert cache.by("waiting", "yes") == []
    assert [o["metadata"]["resourceVersion"] for o in cache.unreadable("lab")] == ["6"]
    assert not cache.put(reservation(5)), "an older version does not come back"
    cache.put(reservation(7))
    assert cache.unreadable() == []
    assert len(cache.by("waiting", "yes")) == 1
    cache.put(reservation(8, user=7))
    cache.remove(reservation(9))
    assert cache.unreadable() == []


def test_an_access_rule_that_cannot_be_read_forbids_in_the_store() -> None:
    cache = make_caches()[ACCESS_RULES]
    metadata = {"namespace": "lab", "name": "a", "uid": "u", "resourceVersion": "5"}
    cache.put({"metadata": metadata, "spec": {"deployment": "one", "user": "bob", "capability": "?"}})
    (kept,) = cache.by("deployment", "one", "lab")
    assert (kept["spec"]["user"], kept["spec"]["capability"]) == ("bob", "CAP_NO_INSTANTIATE")
