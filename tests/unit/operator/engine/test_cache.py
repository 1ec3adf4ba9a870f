from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from berth_core.resources import Instance
from berth_operator.engine.cache import Store
from berth_operator.kinds import ACCESS_RULES, INSTANCES, PODS, RESERVATIONS
from berth_operator.pods.projection import slim
from berth_operator.registry import CONTROLLERS


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
    store = Store(CONTROLLERS.indexes, slim)
    assert store.put(PODS, pod(5, instance="b"))
    assert not store.put(PODS, pod(4, instance="a"))
    assert [o["metadata"]["resourceVersion"] for o in store.by(PODS, "instance", "b")] == ["5"]
    assert store.by(PODS, "instance", "a") == []


def test_a_late_answer_does_not_bring_back_what_was_deleted() -> None:
    store = Store(CONTROLLERS.indexes, slim)
    store.put(PODS, pod(5))
    store.remove(PODS, pod(6))
    assert not store.put(PODS, pod(5))
    assert store.get(PODS, "lab", "p") is None
    assert store.put(PODS, pod(9))


def test_a_late_deletion_does_not_remove_a_successor() -> None:
    store = Store(CONTROLLERS.indexes, slim)
    store.put(PODS, pod(9))
    store.remove(PODS, pod(6))
    assert store.get(PODS, "lab", "p") is not None


def test_a_list_shows_what_vanished_and_spares_what_is_younger() -> None:
    store = Store(CONTROLLERS.indexes, slim)
    for name, version in (("gone", 3), ("kept", 4), ("younger", 12)):
        store.put(PODS, pod(version, name=name))
    vanished = store.retain(PODS, "lab", {("lab", "kept")}, "10")
    assert [o["metadata"]["name"] for o in vanished] == ["gone"]
    assert sorted(o["metadata"]["name"] for o in store.all(PODS)) == ["kept", "younger"]


def test_each_version_is_parsed_once() -> None:
    store = Store(CONTROLLERS.indexes, slim)
    store.put(INSTANCES, waiting(5))
    (first,) = store.models(Instance, "waiting", "yes")
    assert store.models(Instance, "waiting", "yes", "lab") == [first]
    assert store.models(Instance, "waiting", "yes")[0] is first
    store.hear(INSTANCES, waiting(6))
    (second,) = store.models(Instance, "waiting", "yes")
    assert (first.metadata.resource_version, second.metadata.resource_version) == ("5", "6")
    store.remove(INSTANCES, waiting(7))
    assert store.models(Instance, "waiting", "yes") == []


def waiting(version: int) -> dict[str, Any]:
    metadata = {"namespace": "lab", "name": "i", "uid": "u", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"user": "ada", "workspaceType": "bench"}}


def test_what_a_watch_tells_is_news_once() -> None:
    store = Store(CONTROLLERS.indexes, slim)
    assert store.hear(PODS, pod(5))
    assert not store.hear(PODS, pod(5)), "a list that begins the watch anew"
    assert not store.hear(PODS, pod(4))
    assert [o["metadata"]["resourceVersion"] for o in store.all(PODS)] == ["5"]
    store.remove(PODS, pod(6))
    assert not store.hear(PODS, pod(6))
    assert store.hear(PODS, pod(7))


def test_what_was_written_is_news_when_the_watch_tells_of_it() -> None:
    store = Store(CONTROLLERS.indexes, slim)
    store.hear(PODS, pod(5))
    store.put(PODS, pod(6))
    assert store.hear(PODS, pod(6))
    store.put(PODS, pod(6))
    assert not store.hear(PODS, pod(6)), "a read of what was heard changes nothing"


def test_what_a_pass_over_everything_has_seen_is_no_news() -> None:
    store = Store(CONTROLLERS.indexes, slim)
    store.put(PODS, pod(5))
    store.all_heard()
    assert not store.hear(PODS, pod(5))
    assert store.hear(PODS, pod(6))


def test_instances_are_found_by_their_public_id_and_while_they_wait() -> None:
    store = Store(CONTROLLERS.indexes, slim)
    made = {
        "metadata": {"namespace": "lab", "name": "mine", "uid": "u-1", "resourceVersion": "1"},
        "spec": {"user": "ada", "workspaceType": "bench"},
    }
    store.put(INSTANCES, made)
    assert store.by(INSTANCES, "id", "u-1")
    assert store.by(INSTANCES, "waiting", "yes", "lab")
    bound = {**made, "metadata": {**made["metadata"], "resourceVersion": "2"}}
    store.put(INSTANCES, {**bound, "status": {"epoch": 1, "deployment": "one"}})
    assert not store.by(INSTANCES, "waiting", "yes")
    assert store.by(INSTANCES, "deployment", "one")


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 30), st.sampled_from("ab")), max_size=40))
def test_the_index_always_says_what_the_objects_say(events: list[tuple[bool, int, str]]) -> None:
    store = Store(CONTROLLERS.indexes, slim)
    for deletes, version, instance in events:
        if deletes:
            store.remove(PODS, pod(version, instance=instance))
        else:
            store.put(PODS, pod(version, instance=instance))
    known = list(store.all(PODS))
    for instance in "ab":
        wanted = [o for o in known if o["metadata"]["labels"]["berth.dev/instance"] == instance]
        assert store.by(PODS, "instance", instance) == wanted


def reservation(version: int, **spec: Any) -> dict[str, Any]:
    metadata = {"namespace": "lab", "name": "r", "uid": "u", "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"user": "ada", "workspaceType": "arm", "instance": {"user": "ada"}} | spec}


def test_what_cannot_be_read_is_kept_apart() -> None:
    store = Store(CONTROLLERS.indexes, slim)
    store.put(RESERVATIONS, reservation(5))
    assert store.hear(RESERVATIONS, reservation(6, priority=2000))
    assert store.get(RESERVATIONS, "lab", "r") is None
    assert store.by(RESERVATIONS, "waiting", "yes") == []
    assert [o["metadata"]["resourceVersion"] for o in store.unreadable(RESERVATIONS, "lab")] == ["6"]
    assert not store.put(RESERVATIONS, reservation(5)), "an older version does not come back"
    store.put(RESERVATIONS, reservation(7))
    assert store.unreadable(RESERVATIONS) == []
    assert len(store.by(RESERVATIONS, "waiting", "yes")) == 1
    store.put(RESERVATIONS, reservation(8, user=7))
    store.remove(RESERVATIONS, reservation(9))
    assert store.unreadable(RESERVATIONS) == []


def test_an_access_rule_that_cannot_be_read_forbids_in_the_store() -> None:
    store = Store(CONTROLLERS.indexes, slim)
    metadata = {"namespace": "lab", "name": "a", "uid": "u", "resourceVersion": "5"}
    store.put(ACCESS_RULES, {"metadata": metadata, "spec": {"deployment": "one", "user": "bob", "capability": "?"}})
    (kept,) = store.by(ACCESS_RULES, "deployment", "one", "lab")
    assert (kept["spec"]["user"], kept["spec"]["capability"]) == ("bob", "CAP_NO_INSTANTIATE")
