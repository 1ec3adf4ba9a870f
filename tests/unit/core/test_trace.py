"""The judge of traces: each rule, on a life of a lease that is legal without the edit."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from berth_core.trace import audit
from berth_core.trace.commits import ADDED, DELETED, MODIFIED, Commit, TraceError, read
from berth_core.trace.judge import judge
from berth_core.trace.projection import project

ID = "01890000-0000-7000-8000-000000000001"
SECRET = f"i-{ID}-e1-abc"
FREE: dict[str, Any] = {"epoch": 0, "lease": None, "deleting": False, "warm": None}
HELD = FREE | {"epoch": 1, "lease": {"instance": ID, "user": "ada"}}
GIVEN_BACK = FREE | {"epoch": 1}
MADE: dict[str, Any] = {
    "id": ID,
    "user": "ada",
    "claim": {"deployment": "one", "epoch": 1},
    "terminate": False,
    "finalizer": True,
    "deployment": None,
    "epoch": None,
    "nonce": None,
    "reason": None,
    "ended": False,
}
BOUND = MADE | {"deployment": "one", "epoch": 1, "nonce": "abc"}
ENDS = BOUND | {"terminate": True, "reason": "Terminated"}
OF_IT: dict[str, Any] = {
    "instance": ID,
    "deployment": "one",
    "epoch": 1,
    "warm": False,
    "hook": None,
    "deleting": False,
}
POD = OF_IT | {"mounts": [SECRET], "running": False, "over": False}
RUNS = POD | {"running": True}


def commits(*written: tuple[str, str, str, dict[str, Any]]) -> list[Commit]:
    return [
        Commit(n, event, plural, "lab", name, fields=fields)
        for n, (event, plural, name, fields) in enumerate(written, 1)
    ]


def life() -> list[Commit]:
    return commits(
        (ADDED, "workspacedeployments", "one", FREE),
        (MODIFIED, "workspacedeployments", "one", HELD),
        (ADDED, "instances", ID, MADE),
        (ADDED, "secrets", SECRET, OF_IT),
        (MODIFIED, "instances", ID, BOUND),
        (ADDED, "pods", f"i-{ID}", POD),
        (MODIFIED, "pods", f"i-{ID}", RUNS),
        (MODIFIED, "instances", ID, ENDS),
        (DELETED, "secrets", SECRET, OF_IT),
        (MODIFIED, "pods", f"i-{ID}", POD | {"deleting": True, "over": True}),
        (DELETED, "pods", f"i-{ID}", POD),
        (MODIFIED, "workspacedeployments", "one", GIVEN_BACK),
        (MODIFIED, "instances", ID, ENDS | {"ended": True}),
    )


WAITS = MADE | {"claim": None, "returned": None}
MARKED = WAITS | {"returned": {"deployment": "one", "epoch": 1}}


def unused(*instance: dict[str, Any], late: dict[str, Any] | None = None) -> list[Commit]:
    """A lease that was taken for an Instance that waits, and goes back when that was written so."""
    return commits(
        (ADDED, "workspacedeployments", "one", FREE),
        (ADDED, "instances", ID, WAITS),
        (MODIFIED, "workspacedeployments", "one", HELD),
        *((MODIFIED, "instances", ID, fields) for fields in instance),
        *([(ADDED, "secrets", SECRET, OF_IT)] if late is not None else []),
        *([(ADDED, "pods", f"i-{ID}", late)] if late else []),
        (MODIFIED, "workspacedeployments", "one", GIVEN_BACK),
        (MODIFIED, "workspacedeployments", "one", HELD | {"epoch": 2}),
        (ADDED, "secrets", f"i-{ID}-e2-abc", OF_IT | {"epoch": 2}),
        (MODIFIED, "instances", ID, (instance or (WAITS,))[-1] | {"deployment": "one", "epoch": 2, "nonce": "abc"}),
    )


def test_an_unused_lease_goes_back_when_it_cannot_be_used_any_more() -> None:
    assert not judge(unused(MARKED)).breaches
    assert not judge(unused(MARKED, late={})).breaches, "a Secret that came late, which no pod mounts"
    assert {breach.rule for breach in judge(unused()).breaches} == {"marked-first"}
    marked_another = MARKED | {"returned": {"deployment": "one", "epoch": 7}}
    assert {breach.rule for breach in judge(unused(marked_another)).breaches} == {"marked-first"}
    assert "nothing-left" in {breach.rule for breach in judge(unused(MARKED, late=RUNS)).breaches}


def test_an_instance_that_was_made_again_under_its_name_is_another() -> None:
    waits = WAITS | {"id": "a uid"}
    held = HELD | {"lease": {"instance": "a uid", "user": "ada"}}
    trace = commits(
        (ADDED, "workspacedeployments", "one", FREE),
        (ADDED, "instances", "mine", waits),
        (MODIFIED, "workspacedeployments", "one", held),
        (DELETED, "instances", "mine", waits),
        (ADDED, "instances", "mine", waits | {"id": "another uid"}),
        (MODIFIED, "workspacedeployments", "one", GIVEN_BACK),
    )

    assert rules(trace) == set()
    assert rules([*trace[:3], trace[5]]) == {"marked-first"}


def rules(trace: Iterable[Commit]) -> set[str]:
    return {breach.rule for breach in judge(trace).breaches}


def without(*numbers: int) -> list[Commit]:
    return [commit for commit in life() if commit.version not in numbers]


def changed(number: int, **fields: Any) -> list[Commit]:
    return [replace(c, fields={**c.fields, **fields}) if c.version == number else c for c in life()]


def moved(number: int, before: int) -> list[Commit]:
    rest = without(number)
    at = next(n for n, commit in enumerate(rest) if commit.version == before)
    return [*rest[:at], life()[number - 1], *rest[at:]]


def test_a_life_of_a_lease_is_legal() -> None:
    verdict = judge(life())

    assert verdict.breaches == []
    assert (verdict.taken, verdict.given_back, verdict.bound, verdict.served) == (1, 1, 1, 1)


@pytest.mark.parametrize(
    ("trace", "rule"),
    [
        (changed(2, epoch=2), "one-epoch"),
        (changed(12, epoch=0), "epoch-grows"),
        (changed(12, lease={"instance": "other", "user": "eve"}), "one-holder"),
        (changed(1, deleting=True), "deletion-waits"),
        (without(9), "nothing-left"),
        (without(11), "nothing-left"),
        (moved(12, 11), "nothing-left"),
        (moved(4, 6), "secret-first"),
        (moved(6, 5), "fenced"),
        (changed(7, mounts=[f"i-{ID}-e1-other"]), "fenced"),
        (changed(7, epoch=2), "fenced"),
        (changed(3, terminate=True), "never-made"),
        (changed(5, user="eve"), "bound-by-lease"),
        (without(2, 12), "bound-by-lease"),
        (changed(13, reason="Expired"), "set-once"),
        (changed(13, reason=None), "set-once"),
        (moved(13, 12), "ended"),
        (changed(13, nonce="xyz"), "set-once"),
    ],
)
def test_an_edit_is_refused_by_its_rule(trace: list[Commit], rule: str) -> None:
    assert rule in rules(trace)


def test_a_refusal_names_the_commit_the_rule_and_what_to_look_at() -> None:
    told = str(judge(without(11)).breaches[0])

    assert told.startswith("version 12, MODIFIED workspacedeployments/one: the lease of")
    assert f"pods/i-{ID}" in told.splitlines()[1]
    assert "[nothing-left]" in told


@pytest.mark.parametrize(
    ("holder", "transitions", "legal"),
    [("a", 3, True), ("a", 4, True), ("b", 4, True), ("", 3, True), ("b", 3, False), ("a", 5, False), ("", 4, False)],
)
def test_who_leads_anew_begins_a_term(holder: str, transitions: int, legal: bool) -> None:
    led = (ADDED, "leases", "berth-operator", {"holder": "a", "transitions": 3})
    then = (MODIFIED, "leases", "berth-operator", {"holder": holder, "transitions": transitions})
    assert rules(commits(led, then)) == (set() if legal else {"leader"})


def test_a_pod_that_came_after_the_end_and_cannot_start_is_no_breach() -> None:
    trace = life()
    late = Commit(11, ADDED, "pods", "lab", f"i-{ID}", fields=POD)

    assert rules([*trace[:11], late, *trace[11:]]) == set()


def test_the_same_pod_with_its_secret_there_is_one() -> None:
    trace = life()
    late = [
        Commit(11, ADDED, "pods", "lab", f"i-{ID}", fields=POD),
        Commit(11, ADDED, "secrets", "lab", SECRET, fields=OF_IT),
    ]

    assert "nothing-left" in rules([*trace[:11], *late, *trace[11:]])


def test_a_lease_of_before_nonces_is_legal() -> None:
    plain = f"i-{ID}-e1"
    trace = [replace(c, name=plain) if c.plural == "secrets" else c for c in life()]
    trace = [replace(c, fields={**c.fields, "nonce": None}) if c.plural == "instances" else c for c in trace]
    trace = [replace(c, fields={**c.fields, "mounts": [plain]}) if c.plural == "pods" else c for c in trace]

    assert rules(trace) == set()


def test_a_tombstone_ends_and_gives_the_lease_back() -> None:
    tombstone = MADE | {"terminate": True}
    trace = commits(
        (ADDED, "workspacedeployments", "one", FREE),
        (MODIFIED, "workspacedeployments", "one", HELD),
        (ADDED, "instances", ID, tombstone),
        (MODIFIED, "instances", ID, tombstone | {"reason": "NeverMade"}),
        (MODIFIED, "workspacedeployments", "one", GIVEN_BACK),
        (MODIFIED, "instances", ID, tombstone | {"reason": "NeverMade", "ended": True}),
    )

    assert rules(trace) == set()
    assert rules([*trace, Commit(9, MODIFIED, "instances", "lab", ID, fields=BOUND)]) >= {"never-made"}
    assert rules([*trace[:4], trace[5]]) == {"ended"}, "it keeps the lease"


def test_a_pod_made_again_keeps_the_nonce() -> None:
    trace = life()
    again = commits(
        (DELETED, "pods", f"i-{ID}", POD), (ADDED, "pods", f"i-{ID}", POD), (MODIFIED, "pods", f"i-{ID}", RUNS)
    )

    assert rules([*trace[:7], *again, *trace[7:]]) == set()


def test_a_hook_runs_within_the_lease_alone() -> None:
    trace, hook = life(), RUNS | {"hook": "reset", "mounts": [f"i-{ID}-e1-reset-xyz"]}
    start, end = (Commit(11, event, "pods", "lab", "hook", fields=hook) for event in (ADDED, DELETED))

    assert rules([*trace[:11], start, end, *trace[11:]]) == set()
    assert rules([*trace[:11], start, trace[11], end, trace[12]]) == {"nothing-left"}


def test_a_hooks_job_that_came_late_does_nothing_without_its_secret() -> None:
    trace, name = life(), f"i-{ID}-e1-reset-xyz"
    job = Commit(11, ADDED, "jobs", "lab", "hook", fields=OF_IT | {"hook": "reset", "mounts": [name]})
    secret = Commit(11, ADDED, "secrets", "lab", name, fields=OF_IT | {"instance": None, "deployment": None})
    of_earlier_version = replace(job, fields=OF_IT | {"hook": "reset", "mounts": []})

    assert rules([*trace[:11], job, *trace[11:]]) == set()
    for late in ([secret, job], [of_earlier_version]):
        told = [str(breach) for breach in judge([*trace[:11], *late, *trace[11:]]).breaches]
        assert any("jobs/hook" in text and "[nothing-left]" in text for text in told)


def test_a_warm_pod_serves_its_own_epoch_alone() -> None:
    secret, kept = "w-id-e1-abc", FREE | {"warm": {"epoch": 1, "nonce": "abc"}}
    warm = POD | {"instance": None, "warm": True, "mounts": [secret]}
    trace = commits(
        (ADDED, "workspacedeployments", "one", FREE),
        (ADDED, "secrets", secret, OF_IT | {"instance": None, "warm": True}),
        (MODIFIED, "workspacedeployments", "one", kept),
        (ADDED, "pods", "w-id-e1", warm),
        (MODIFIED, "pods", "w-id-e1", warm | {"running": True}),
        (MODIFIED, "workspacedeployments", "one", HELD | {"warm": kept["warm"]}),
        (MODIFIED, "pods", "w-id-e1", warm | {"running": True, "instance": ID}),
    )
    assert rules(trace) == set()
    assert rules([*trace[:2], *trace[3:]]) == {"fenced"}, "its nonce was never written"
    given_back = Commit(8, MODIFIED, "workspacedeployments", "lab", "one", fields=GIVEN_BACK)
    assert rules([*trace, given_back]) == {"nothing-left"}


def test_a_warm_pod_whose_secrets_were_deleted_is_made_again_with_those_that_its_instance_names() -> None:
    bound, other = life()[:5], "w-id-e1-def"
    secret = (ADDED, "secrets", other, OF_IT | {"warm": True})
    named = (MODIFIED, "instances", ID, BOUND | {"nonce": "def"})
    again = (ADDED, "pods", "w-id-e1", POD | {"warm": True, "mounts": [other]})

    assert rules([*bound, *commits(secret, named, again)]) == set()
    assert rules([*bound, *commits(secret, again)]) == {"fenced"}


def test_what_was_there_before_the_trace_began_is_taken_as_it_is() -> None:
    known = [replace(commit, known=True, event=ADDED) for commit in (life()[6], life()[1])]

    assert rules(known) == set()


def test_a_trace_reads_back_as_it_was_written() -> None:
    assert list(read(commit.line() for commit in life())) == life()


def test_a_line_that_is_no_commit_is_named() -> None:
    with pytest.raises(TraceError, match="line 2 is no commit"):
        list(read([life()[0].line(), '{"version": 1, "event": "SEEN"}']))


def event(verb: str, at: str, resource: str, name: str, answer: dict[str, Any] | None = None, code: int = 200) -> str:
    return json.dumps(
        {
            "stage": "ResponseComplete",
            "verb": verb,
            "requestURI": f"/api/{name}",
            "stageTimestamp": at,
            "objectRef": {"resource": resource, "namespace": "lab", "name": name},
            "responseStatus": {"code": code},
            **({"responseObject": answer} if answer else {}),
        }
    )


def pod(version: int, **metadata: Any) -> dict[str, Any]:
    labels = {"berth.dev/instance": ID, "berth.dev/epoch": "1", "berth.dev/deployment": "one"}
    return {
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "lab", "resourceVersion": str(version), "labels": labels, **metadata},
    }


def test_an_audit_log_is_read_in_the_order_of_versions_and_of_answers() -> None:
    lines = [
        event("delete", "00:03", "secrets", SECRET),
        event("patch", "00:05", "pods", "p", pod(11)),
        event("create", "00:06", "pods", "p", pod(10)),
        event("patch", "00:07", "pods", "p", pod(12), code=409),
    ]

    assert [(c.plural, c.version, c.event) for c in audit.read(lines)] == [
        ("secrets", 0, DELETED),
        ("pods", 10, ADDED),
        ("pods", 11, MODIFIED),
    ]


def test_an_object_is_gone_with_its_last_finalizer() -> None:
    going = {"deletionTimestamp": "now", "deletionGracePeriodSeconds": 1}
    lines = [
        event("delete", "00:01", "pods", "p", pod(1, finalizers=["berth.dev/fence"], **going)),
        event("patch", "00:02", "pods", "p", pod(2, **going)),
        event("delete", "00:03", "pods", "p", pod(3, **going | {"deletionGracePeriodSeconds": 0})),
    ]

    assert [commit.event for commit in audit.read(lines)] == [MODIFIED, MODIFIED, DELETED]


def test_an_administrators_word_ends_a_pod_on_a_silent_node() -> None:
    forced = pod(1, annotations={"berth.dev/released-by-force": "switched off"})
    commit = project(MODIFIED, "pods", forced)

    assert commit is not None
    assert commit.fields["over"] is True
