"""Random steps. A step names what it is about, not the versions and uids of one run, so that a sequence shrinks."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from berth_core.kube.client import METADATA_LIST
from berth_core.kube.types import Object

from ..store import Store
from ..store.kinds import Resource, served
from ..store.store import APPLY, MERGE
from ..wire import Request
from . import bodies, core_bodies
from .compare import Bindings

NAMES: Final = ("a", "b", "c")
FINALIZERS: Final = ("berth.dev/fence", "berth.dev/other")
MANAGERS: Final = ("one", "two")
NEAR: Final = 12
"""Commits after which the real server may have forgotten an event: its caches keep a hundred, and those of 75 s."""
APPLIED: Final = ("services", "networkpolicies", "poddisruptionbudgets", "configmaps", "secrets")


@dataclass(frozen=True)
class Step:
    """One step of a sequence."""

    verb: str
    plural: str
    space: int = 0
    name: str = "a"
    body: Object = field(default_factory=dict)
    version: str = ""
    """Of the precondition: none, live, stale or far."""
    uid: str = ""
    """Of the precondition: none, live or wrong."""
    query: Mapping[str, str] = field(default_factory=dict)
    metadata_only: bool = False
    back: int = 0
    """How many commits before the last one a watch begins, or what is stale comes from."""


def draw_kinds(draw: random.Random) -> tuple[str, ...]:
    """Return the kinds of a sequence: a few, so that its steps meet the same objects, or all."""
    return _PLURALS if draw.random() < 0.2 else tuple(draw.sample(sorted(set(_PLURALS)), draw.randrange(1, 5)))


def draw_step(draw: random.Random, kinds: tuple[str, ...]) -> Step:
    """Return a random step that is about one of the kinds."""
    plural = draw.choice(kinds)
    verb = draw.choices(_VERBS, _WEIGHTS)[0]
    if verb == "apply" and plural not in APPLIED and (served()[plural].schema is None or draw.random() < 0.7):
        plural = draw.choice([kind for kind in APPLIED if kind in kinds] or APPLIED)
    if verb == "replace" and served()[plural].schema is None:
        verb = "create"
    resource = served()[plural]
    name = draw.choice(("f" * 64, "0" * 64) if plural == "issuedtokens" else NAMES)
    about: dict[str, Any] = {"plural": plural, "space": int(draw.random() < 0.2), "name": name}
    about["version"] = draw.choice(("", "", "live", "live", "stale", "far"))
    about["uid"] = draw.choice(("", "", "", "live", "live", "wrong"))
    about["back"] = draw.randrange(1, NEAR)
    if verb == "status" and not resource.status:
        verb = "patch"
    return Step(verb, **(about | _MAKERS[verb](plural, name, draw)))


def _create(plural: str, name: str, draw: random.Random) -> dict[str, Any]:
    body = _whole(plural, name, draw) | {"metadata": _metadata(draw, whole=True)}
    if draw.random() < 0.1 and plural != "jobs":
        body["metadata"]["generateName"] = f"{name}-"
    if draw.random() < 0.05:
        body["status"] = _status(plural, draw)
    return {"body": body, "query": {"fieldManager": draw.choice(MANAGERS)}}


def _apply(plural: str, name: str, draw: random.Random) -> dict[str, Any]:
    custom = served()[plural].schema is not None
    body = {"spec": bodies.minimal(plural, draw)} if custom else _whole(plural, name, draw)
    body["metadata"] = _metadata(draw, whole=True)
    query = {"fieldManager": draw.choice(MANAGERS), "force": draw.choice(("true", "true", "true", "false"))}
    return {"body": body, "query": query}


def _patch(plural: str, _: str, draw: random.Random) -> dict[str, Any]:
    body: Object = {}
    if draw.random() < 0.6:
        custom = served()[plural].schema is not None
        body |= {"spec": bodies.part(plural, "spec", draw)} if custom else core_bodies.patch(plural, draw)
    if draw.random() < 0.5 or not body:
        body["metadata"] = _metadata(draw, whole=False)
    if draw.random() < 0.05:
        body["status"] = _status(plural, draw)
    return {"body": body, "query": {"fieldManager": draw.choice(MANAGERS)}}


def _status_patch(plural: str, _: str, draw: random.Random) -> dict[str, Any]:
    body: Object = {"status": _status(plural, draw)}
    if draw.random() < 0.1:
        body["metadata"] = _metadata(draw, whole=False)
    if draw.random() < 0.03:
        body["status"] = None
    return {"body": body, "query": {"fieldManager": draw.choice(MANAGERS)}}


def _delete(plural: str, _: str, draw: random.Random) -> dict[str, Any]:
    body: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
    if draw.random() < (0.6 if plural == "pods" else 0.1):
        body["gracePeriodSeconds"] = draw.choice((0, 0, 1, 5))
    return {"body": body}


def _get(_: str, __: str, ___: random.Random) -> dict[str, Any]:
    return {}


def _list(plural: str, _: str, draw: random.Random) -> dict[str, Any]:
    query: dict[str, str] = {}
    if draw.random() < 0.4:
        query["labelSelector"] = draw.choice(("a=a", "a", "!a", "a!=a", "a in (a,b)", "a notin (a)", "a=b,b=a", "a==a"))
    if draw.random() < 0.4:
        query["fieldSelector"] = ",".join(f"{k}{draw.choice(('=', '=', '!='))}{v}" for k, v in _fields(plural, draw))
    if draw.random() < 0.5 and served()[plural].namespaced:
        query["limit"] = draw.choice(("1", "2"))
    if draw.random() < 0.15:
        query |= {"resourceVersion": "newest", "resourceVersionMatch": "NotOlderThan"}
        query.pop("limit", None)
    return {"query": query, "metadata_only": draw.random() < 0.2}


def _watch(plural: str, _: str, draw: random.Random) -> dict[str, Any]:
    query: dict[str, str] = {}
    if draw.random() < 0.5:
        query[f"label {draw.choice(NAMES)}"] = draw.choice(("", "a", "b"))
    if draw.random() < 0.4:
        query |= {f"field {path}": value for path, value in _fields(plural, draw)}
    return {"query": query, "back": draw.choice((draw.randrange(1, NEAR), draw.randrange(1, 150)))}


def _fields(plural: str, draw: random.Random) -> list[tuple[str, str]]:
    resource = served()[plural]
    path = draw.choice(sorted(resource.selectable - {"metadata.namespace"}))
    value = draw.choice(NAMES) if path == "metadata.name" else draw.choice(("", "a", "b", "true", "Running", "n"))
    return [(path, value)]


def _whole(plural: str, name: str, draw: random.Random) -> Object:
    if served()[plural].schema is None:
        return core_bodies.MAKERS[plural](draw)
    return {"spec": bodies.spec(plural, draw, name)}


def _status(plural: str, draw: random.Random) -> Object:
    if served()[plural].schema is None:
        return core_bodies.status(plural, draw)
    if plural == "workspacedeployments" and draw.random() < 0.6:
        lease = {"instance": draw.choice(NAMES), "user": draw.choice(NAMES), "claimedAt": bodies.TIMES[0]}
        made: Object = {"lease": draw.choice((lease, None))}
        return made | ({"epoch": draw.randrange(6)} if draw.random() < 0.7 else {})
    return bodies.part(plural, "status", draw)


def _metadata(draw: random.Random, *, whole: bool) -> Object:
    made: Object = {}
    if draw.random() < 0.5:
        made["labels"] = {
            word: draw.choice(("a", "b", None) if not whole else ("a", "b")) for word in draw.sample(NAMES, 2)
        }
    if draw.random() < 0.2:
        made["annotations"] = {draw.choice(NAMES): draw.choice(("x", "y"))}
    if draw.random() < 0.35:
        count = draw.choice((0, 1, 1, 2))
        if count or not whole:
            made["finalizers"] = draw.sample(FINALIZERS, count) or None
    if draw.random() < 0.1:
        owner = {"apiVersion": "berth.dev/v1alpha1", "kind": "Instance", "name": "a", "uid": draw.choice(NAMES)}
        made["ownerReferences"] = [owner]
    return made


_VERBS: Final = ("create", "patch", "status", "delete", "get", "list", "more", "watch", "compact", "apply", "replace")
_WEIGHTS: Final = (20, 20, 20, 8, 6, 10, 6, 4, 0.7, 10, 3)
_MAKERS: Final = {
    "create": _create,
    "patch": _patch,
    "status": _status_patch,
    "delete": _delete,
    "get": _get,
    "list": _list,
    "more": _get,
    "watch": _watch,
    "compact": _get,
    "apply": _apply,
    "replace": _create,
}
_PLURALS: Final = tuple(
    plural
    for plural in served()
    if plural != "namespaces"  # Berth makes none
    for _ in range(4 if plural in ("pods", "instances", "workspacedeployments", "services") else 1)
)


@dataclass(frozen=True)
class Names:
    """Names of one run: its two namespaces, and the versions that were seen, oldest first."""

    spaces: tuple[str, str]
    bound: Bindings

    @property
    def versions(self) -> list[str]:
        """Versions that both servers have told."""
        return self.bound.versions

    def earlier(self, back: int) -> str:
        """Return the version of some commits ago: 1 is the last one."""
        return self.versions[max(0, len(self.versions) - max(1, back))]


def request_of(step: Step, store: Store, names: Names) -> Request:
    """Return a step's request, with versions and uids as the fake store has them now."""
    resource = served()[step.plural]
    space, name = placed(resource, step, names)
    root = f"/{'apis' if resource.group else 'api'}/{resource.api_version}"
    collection = f"{root}/namespaces/{space}/{step.plural}" if space else f"{root}/{step.plural}"
    one = f"{collection}/{name}"
    if step.verb in ("list", "more"):
        query = dict(step.query)
        if query.get("resourceVersion") == "newest":
            query["resourceVersion"] = names.versions[-1]
            if int(names.versions[-1]) != store.version:  # what came after it may be seen or not
                del query["resourceVersion"], query["resourceVersionMatch"]
        if not space:
            query["labelSelector"] = ",".join(filter(None, (query.get("labelSelector"), f"run={names.spaces[0]}")))
        return Request("GET", collection, query, accept=METADATA_LIST if step.metadata_only else "application/json")
    if step.verb == "get":
        return Request("GET", one)
    conditions = _conditions(step, store.find(step.plural, space, name), names)
    if step.verb == "delete":
        body = step.body | ({"preconditions": conditions} if conditions else {})
        return Request("DELETE", one, body=body)
    body, metadata = dict(step.body), dict(step.body.get("metadata") or {})
    if (not space and "labels" in metadata) or (step.verb == "create" and not space):
        metadata["labels"] = (metadata.get("labels") or {}) | {"run": names.spaces[0]}
    if step.verb in ("create", "apply", "replace"):
        body |= {"apiVersion": resource.api_version, "kind": resource.kind}
        if "generateName" not in metadata:
            metadata["name"] = name
        if space:
            metadata["namespace"] = space
        if step.plural == "events":
            body["regarding"] = {**body["regarding"], "namespace": space}
    if step.verb == "create":
        return Request("POST", collection, step.query, body | {"metadata": metadata})
    if step.verb == "apply":
        return Request("PATCH", one, step.query, body | {"metadata": metadata}, APPLY)
    body["metadata"] = metadata | conditions
    if step.verb == "replace":
        body["metadata"]["name"] = name
        return Request("PUT", one, step.query, body)
    return Request("PATCH", f"{one}/status" if step.verb == "status" else one, step.query, body, MERGE)


def placed(resource: Resource, step: Step, names: Names) -> tuple[str | None, str]:
    """Return the namespace and the name of what a step is about."""
    space = names.spaces[step.space]
    return (space, step.name) if resource.namespaced else (None, f"{space}-{step.name}")


def _conditions(step: Step, live: Object | None, names: Names) -> Object:
    made: Object = {}
    metadata = live["metadata"] if live else {"resourceVersion": names.versions[-1], "uid": "u"}
    versions = {
        "live": metadata["resourceVersion"],
        "stale": names.earlier(step.back),
        "far": "1",
    }
    if step.version:
        made["resourceVersion"] = versions[step.version]
    if step.uid:
        made["uid"] = metadata["uid"] if step.uid == "live" else "00000000-0000-4000-8000-000000000000"
    return made
