"""How far a build is, as providers take it."""

import json
from typing import Any

import pytest

from berth_core.builds import Word
from berth_core.resources import Build, Delivery, Project
from berth_operator.builds.manifests.commit_status import commit_status

UID = "5b3f1a57-0a53-4c39-9d8e-8c1f6d2b7e11"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
STATES: dict[Word, dict[str, Any]] = {
    Word.QUEUED: {},
    Word.RUNNING: {"startTime": "2026-01-01T00:00:00Z"},
    Word.PASSED: {"reason": "Passed"},
    Word.FAILED: {"reason": "ScriptFailed", "message": "the script\nended with 3"},
    Word.ERRORED: {"reason": "NoSuchBranch", "message": "there is no branch x"},
    Word.CANCELED: {"reason": "Canceled"},
}


def project(provider: str | None = "github", **fields: Any) -> Project:
    url = {"statusURL": "https://api.example.org/repos/lab/arm/statuses/{sha}"}
    told = {"commitStatus": url | {"provider": provider, "secret": "hub"} | fields} if provider else {}
    spec = {"name": "arm", "user": "alice", "repoURL": "https://git.example.org/arm.git"} | told
    return Project.parse({"metadata": {"name": "p-1", "namespace": "lab", "uid": "p"}, "spec": spec})


def build(status: dict[str, Any] | None = None, **spec: Any) -> Build:
    metadata = {"name": "mine", "namespace": "lab", "uid": UID}
    found = {"attempt": spec.get("attempt", 1), "commit": COMMIT} | (status or {})
    wanted = {"project": "p-1", "user": "alice", "branch": "main"} | spec
    return Build.parse({"metadata": metadata, "spec": wanted, "status": found})


def delivered(of: Build, to: Project) -> Delivery:
    made = commit_status(of, to)
    assert made is not None
    return Delivery.parse(made)


@pytest.mark.parametrize(
    ("provider", "states"),
    [
        ("github", ["pending", "pending", "success", "failure", "error", "error"]),
        ("gitea", ["pending", "pending", "success", "failure", "error", "error"]),
        ("gitlab", ["pending", "running", "success", "failed", "failed", "canceled"]),
    ],
)
def test_each_state_has_the_word_of_the_provider(provider: str, states: list[str]) -> None:
    told = [delivered(build(status), project(provider)).spec for status in STATES.values()]
    payloads = [json.loads(spec.payload) for spec in told]
    assert [payload["state"] for payload in payloads] == states
    assert {spec.form for spec in told} == {provider}
    assert {spec.url for spec in told} == {f"https://api.example.org/repos/lab/arm/statuses/{COMMIT}"}
    assert {spec.token_secret for spec in told} == {"hub"}
    context = "name" if provider == "gitlab" else "context"
    assert {payload[context] for payload in payloads} == {"berth/lab/p-1"}
    assert payloads[3]["description"] == "The build failed: the script ended with 3"
    assert payloads[2]["description"] == "The build passed"
    assert [payload.get("ref") for payload in payloads] == ["main" if provider == "gitlab" else None] * 6


def test_what_comes_later_has_the_greater_sequence() -> None:
    told = [
        delivered(build(status, attempt=attempt), project()).spec
        for attempt in (1, 2)
        for status in (STATES[Word.QUEUED], STATES[Word.RUNNING], STATES[Word.FAILED])
    ]
    assert len({spec.subject for spec in told}) == 1
    assert [spec.sequence for spec in told] == sorted({spec.sequence for spec in told})
    assert len({spec.id for spec in told}) == len(told)


def test_made_again_it_has_the_same_name() -> None:
    once, again = (delivered(build(STATES[Word.PASSED]), project()) for _ in range(2))
    assert (once.metadata.name, once.spec) == (again.metadata.name, again.spec)


def test_nothing_is_told_where_nobody_asks_or_of_no_commit() -> None:
    assert commit_status(build(), project(None)) is None
    assert commit_status(build({"commit": None}), project()) is None
    assert commit_status(build({"commit": None}, commit=COMMIT[:8]), project()) is None


def test_a_commit_that_was_only_asked_for_is_told_nothing_of() -> None:
    """The repository need not have it: whoever makes Builds would speak of anybody's commits."""
    for reason in (None, "Canceled", "CommitNotFound"):
        for attempt in (None, 1, 2):
            asked = build({"commit": None, "attempt": attempt, "reason": reason}, commit=COMMIT)
            assert commit_status(asked, project()) is None


def test_a_restart_speaks_of_the_new_attempt() -> None:
    old = {"attempt": 1, "reason": "ScriptFailed", "message": "old"}
    assert commit_status(build(old, attempt=2, commit=COMMIT), project()) is None, "its commit is not known yet"
    told = delivered(build({"attempt": 2}, attempt=2), project()).spec
    assert json.loads(told.payload)["description"] == "The build waits for its turn"


@pytest.mark.parametrize(("provider", "longest"), [("github", 140), ("gitlab", 255), ("gitea", 255)])
def test_a_long_reason_is_cut(provider: str, longest: int) -> None:
    told = delivered(build({"reason": "Other", "message": "x" * 4000}), project(provider)).spec
    assert len(json.loads(told.payload)["description"]) == longest
