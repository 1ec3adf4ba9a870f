"""The historic words."""

from datetime import UTC, datetime
from typing import Any

import pytest

from berth_core import state
from berth_core.kube.conditions import condition
from berth_core.resources import Instance
from berth_core.state import Word

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def instance(*true: str, reason: str | None = None, terminate: bool = False, deleted: bool = False) -> Instance:
    metadata: dict[str, Any] = {"name": "mine"}
    if deleted:
        metadata["deletionTimestamp"] = "2026-05-01T00:00:00Z"
    conditions = [condition(kind, True, "X", "", now=NOW).wire() for kind in true]
    return Instance.parse(
        {
            "metadata": metadata,
            "spec": {"user": "alice", "workspaceType": "t", "terminate": terminate},
            "status": {"conditions": conditions, "reason": reason},
        }
    )


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        (instance(), Word.INIT),
        (instance("Bound", "PodReady"), Word.INIT),
        (instance("Bound", "PodReady", "NetworkReady", "Ready"), Word.READY),
        (instance("Ready", terminate=True), Word.TERMINATING),
        (instance(terminate=True), Word.TERMINATING),
        (instance("Ready", deleted=True), Word.TERMINATING),
        (instance("Ready", reason=state.EXPIRED), Word.TERMINATING),
        (instance("Ended", reason=state.EXPIRED), Word.TERMINATED),
        (instance("Ended", reason=state.TERMINATED, terminate=True), Word.TERMINATED),
        (instance(reason=state.START_FAILED), Word.INIT_FAIL),
        (instance("Ended", reason=state.START_FAILED), Word.INIT_FAIL),
        (instance("Ended", reason=state.START_FAILED, terminate=True, deleted=True), Word.INIT_FAIL),
    ],
)
def test_each_state_has_its_word(seen: Instance, word: Word) -> None:
    assert state.word(seen) is word
    assert state.is_active(seen) is (word in (Word.INIT, Word.READY))


def test_an_object_without_status_starts() -> None:
    bare = Instance.parse({"metadata": {"name": "mine"}, "spec": {"user": "alice", "deployments": ["d"]}})
    assert state.word(bare) is Word.INIT
