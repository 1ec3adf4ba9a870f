"""How builds look to clients."""

from typing import Any

from berth_api.builds.schemas import BuildDetail, Projects
from berth_api.builds.service import Overview
from berth_core.resources import Build, Project

PROJECT = Project.parse(
    {
        "metadata": {"name": "p-1", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"name": "arm", "user": "alice", "repoURL": "https://git.example.test/arm.git"},
    }
)
ID = "0190f7a0-0000-7000-8000-000000000001"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def seen(status: dict[str, Any] | None = None, position: int | None = None, **spec: Any) -> Overview:
    obj = {
        "metadata": {"name": ID, "namespace": "lab", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"project": "p-1", "user": "alice", "branch": "main"} | spec,
        "status": status or {},
    }
    return Overview(Build.parse(obj), PROJECT, position)


def build(seen: Overview) -> dict[str, Any]:
    return BuildDetail.of(seen).model_dump(exclude_none=True)


def ended(message: str, word: str = "False") -> list[dict[str, str]]:
    time = "2026-01-01T00:00:00Z"
    return [{"type": "Ended", "status": word, "reason": "Any", "message": message, "lastTransitionTime": time}]


def test_a_new_build_shows_what_was_asked_for() -> None:
    assert build(seen(position=3, commit=COMMIT[:8])) == {
        "id": ID,
        "pid": "arm",
        "status": "queued",
        "created": "2026-01-01T00:00:00Z",
        "attempt": 1,
        "branch": "main",
        "commit": COMMIT[:8],
        "position": 3,
    }


def test_what_it_waits_for_is_said_until_it_has_ended() -> None:
    waiting = {"attempt": 1, "conditions": ended("waits for a machine")}
    assert build(seen(waiting))["message"] == "waits for a machine"
    over = {"attempt": 1, "reason": "ScriptFailed", "exitCode": 0, "conditions": ended("Ending")}
    assert "message" not in build(seen(over))
    assert build(seen(over | {"message": "it failed"}))["message"] == "it failed"
    assert build(seen(over))["exit_code"] == 0


def test_after_a_restart_nothing_is_said_of_the_attempt_before() -> None:
    before = {
        "attempt": 1,
        "commit": COMMIT,
        "reason": "Passed",
        "message": "old",
        "startTime": "2026-01-01T00:00:00Z",
        "artifacts": {"size": 1, "sha256": "0" * 64, "configMaps": ["x"]},
    }
    shown = build(seen(before, attempt=2))
    assert (shown["status"], shown["attempt"]) == ("queued", 2)
    assert not shown.keys() & {"commit", "message", "started", "artifacts"}
    assert build(seen(before))["artifacts"] == {"size": 1, "sha256": "0" * 64}


def test_projects_are_shown_by_the_names_that_clients_use() -> None:
    expected = {"created": "2026-01-01T00:00:00Z", "repo_url": "https://git.example.test/arm.git"}
    assert Projects.of([PROJECT]).model_dump() == {"arm": expected}
