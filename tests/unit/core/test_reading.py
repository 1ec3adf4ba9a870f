"""One object that cannot be read stops only itself, and shows nothing of what it holds."""

from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY

from berth_core.kube.errors import UnreadableError
from berth_core.queue.access import may_instantiate
from berth_core.reading import at, readable
from berth_core.resources import AccessRule, Reservation

from .samples import deployment, kind


def obj(name: str, version: int = 1, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "lab", "uid": name, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": {"user": "ada", "instance": {"user": "ada"}} | spec}


def counted() -> float:
    return REGISTRY.get_sample_value("berth_unreadable_objects_total", {"kind": "Reservation"}) or 0.0


def test_the_others_are_read_and_each_version_is_told_once() -> None:
    before = counted()
    objects = [obj("good"), obj("odd", priority=2000), obj("last")]
    with structlog.testing.capture_logs() as logs:
        for _ in range(2):
            assert [one.metadata.name for one in readable(Reservation, objects)] == ["good", "last"]
        readable(Reservation, [obj("odd", 2, priority=2000)])
    assert [(entry["name"], entry["kind"]) for entry in logs] == [("odd", "Reservation")] * 2
    assert counted() == before + 2


def test_the_error_names_the_field_and_not_what_stands_there() -> None:
    with pytest.raises(UnreadableError) as raised:
        Reservation.parse(obj("odd", eventUrl="hush"))
    assert "spec.eventUrl" in str(raised.value)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize(
    ("spec", "refused", "let_in"),
    [
        ({"user": "bob", "capability": "CAP_ODD"}, "bob", "ada"),
        ({"user": 7, "capability": "CAP_INSTANTIATE"}, "ada", None),
        ({"capability": None}, "ada", None),
    ],
)
def test_an_access_rule_forbids(spec: dict[str, Any], refused: str, let_in: str | None) -> None:
    odd = {"metadata": {"name": "r", "namespace": "lab"}, "spec": {"deployment": "one", "ruleID": 1} | spec}
    rules = readable(AccessRule, [odd])
    assert not may_instantiate(refused, kind(), deployment("one"), rules)
    assert let_in is None or may_instantiate(let_in, kind(), deployment("one"), rules)


def test_a_path_may_end_anywhere() -> None:
    assert at({"a": {"b": 1}}, "a", "b") == 1
    odds: list[Any] = [None, [], "a", {"a": []}, {"a": "b"}, {}]
    for odd in odds:
        assert at(odd, "a", "b") is None
