"""Which news of a type wakes anybody."""

from typing import Any

import pytest

from berth_operator.deployments.controller import only_marked

KNOWN: dict[str, Any] = {
    "metadata": {"name": "arm", "uid": "u", "generation": 3, "resourceVersion": "7"},
    "spec": {"typeName": "arm"},
    "status": {"admissionMark": "a", "conditions": [{"type": "Ready", "status": "True"}]},
}


def changed(**parts: dict[str, Any]) -> dict[str, Any]:
    return {name: {**KNOWN[name], **parts.get(name, {})} for name in KNOWN}


def test_another_mark_wakes_nobody() -> None:
    assert only_marked(KNOWN, changed(metadata={"resourceVersion": "8"}, status={"admissionMark": "b"}))


@pytest.mark.parametrize(
    "parts",
    [
        {"metadata": {"generation": 4}},
        {"metadata": {"uid": "v"}},
        {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {"status": {"conditions": []}},
        {"status": {"admissionMark": "b", "observedGeneration": 3}},
    ],
    ids=str,
)
def test_all_else_does(parts: dict[str, dict[str, Any]]) -> None:
    metadata = {"resourceVersion": "8", **parts.get("metadata", {})}
    assert not only_marked(KNOWN, changed(**{**parts, "metadata": metadata}))


def test_what_a_read_brought_here_already_wakes_too() -> None:
    assert not only_marked(KNOWN, KNOWN)
    assert not only_marked(None, KNOWN)
