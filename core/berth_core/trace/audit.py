"""Makes commits from a Kubernetes audit log (``audit.k8s.io/v1`` Events, one a line). Pure.

Secrets are logged at level Metadata, so none of their content is in the log: a Secret is known by its name, and
its writes have no resourceVersion. Writes with a version are ordered by it; writes without one by the time of their
answers. Where a request was sent after another one's answer, the two stay in that order (ADR 0025).
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Final

from berth_core.trace.commits import ADDED, DELETED, MODIFIED, Commit, TraceError
from berth_core.trace.projection import KINDS, project

_VERBS: Final = frozenset({"create", "update", "patch", "delete"})
_SUBRESOURCES: Final = frozenset({"", "status", "ephemeralcontainers", "resize"})


def read(lines: Iterable[str]) -> list[Commit]:
    """Commits of an audit log, in the order in which they were made.

    Raises:
        TraceError: a line is no audit event.

    """
    commits = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                commits += [(str(event["stageTimestamp"]), commit) for event, commit in _commits(json.loads(line))]
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise TraceError(f"line {number} is no event of an audit log: {error!r}") from error
    return _ordered(commits)


def _commits(event: dict[str, Any]) -> Iterator[tuple[dict[str, Any], Commit]]:
    reference, status = event.get("objectRef") or {}, event.get("responseStatus") or {}
    wanted = event["stage"] == "ResponseComplete" and event["verb"] in _VERBS and event.get("requestURI") is not None
    plural = reference.get("resource")
    if not wanted or plural not in KINDS or reference.get("subresource", "") not in _SUBRESOURCES:
        return
    if not 200 <= int(status.get("code") or 0) < 300 or "dryRun=All" in event["requestURI"]:
        return
    answer = event.get("responseObject") or {}
    by = str((event.get("user") or {}).get("username") or "")
    if (answer.get("metadata") or {}).get("resourceVersion") and answer.get("kind") != "Status":
        commit = project(_happened(event["verb"], answer), plural, answer)
        if commit is not None:
            yield event, replace(commit, by=by)
        return
    # A deletion that was answered with a Status, or an object of which only the request's metadata is logged.
    name = reference.get("name") or ((event.get("requestObject") or {}).get("metadata") or {}).get("name")
    if name and (event["verb"] == "delete" or plural == "secrets"):
        happened = {"create": ADDED, "delete": DELETED}.get(event["verb"], MODIFIED)
        fields = {"instance": None, "deployment": None, "epoch": 0, "warm": False, "deleting": False, "hook": None}
        yield event, Commit(0, happened, plural, reference["namespace"], name, by, fields=fields)


def _happened(verb: str, answer: dict[str, Any]) -> str:
    """Return ADDED, MODIFIED, or DELETED: an object that is being deleted goes with its last finalizer."""
    metadata = answer["metadata"]
    going = metadata.get("deletionTimestamp") and not metadata.get("finalizers")
    if verb == "delete" and not metadata.get("deletionTimestamp"):
        return DELETED
    if going and not metadata.get("deletionGracePeriodSeconds"):
        return DELETED
    return ADDED if verb == "create" else MODIFIED


def _ordered(dated: list[tuple[str, Commit]]) -> list[Commit]:
    """Order by version, and by time of the answer among the others.

    Among writes without a version, a version has the time of the earliest answer to itself or a later version.
    """
    versioned = sorted((entry for entry in dated if entry[1].version), key=lambda entry: entry[1].version)
    earliest, placed = "~", []
    for stamp, commit in reversed(versioned):
        earliest = min(earliest, stamp)
        placed.append((earliest, 1, commit))
    placed.reverse()
    # Of two at the same instant the one without a version comes first: a deleted object is gone.
    bare = [(stamp, 0, commit) for stamp, commit in dated if not commit.version]
    merged = sorted([*placed, *bare], key=lambda entry: (entry[0], entry[1]))
    commits, version, seen = [], 0, set[tuple[str, int]]()
    for _, _, commit in merged:
        mark = commit.plural, commit.version
        if commit.version and mark in seen and commit.event != DELETED:
            continue  # a write that changed nothing is answered with the object as it was
        seen.add(mark)
        version = max(version, commit.version)
        commits.append(replace(commit, version=version))
    return commits
