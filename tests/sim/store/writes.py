"""POST, PATCH, PUT and DELETE: what the API server makes of a write before it is committed."""

import random
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from berth_core.kube.types import Object

from ..wire import Request
from . import built_in, problems
from .applying import Conflicts, applied
from .history import ADDED, DELETED, MODIFIED, Entry, History, Key
from .kinds import Resource, Target, served
from .owners import Manager, Owners, Written, leaves, owners_of, shape_of
from .problems import Cause
from .schema import BLOCKING, INVALID, Found, check, check_rules, readable, shaped
from .services import Ports
from .trees import MISSING, copied, merged, same

_SUFFIX: Final = "bcdfghjklmnpqrstvwxz2456789"
_TIME: Final = "%Y-%m-%dT%H:%M:%SZ"
_OWN: Final = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
    "managedFields",
)


class Writer:
    """Writes to a history."""

    def __init__(self, history: History, now: Callable[[], datetime], draw: random.Random) -> None:
        self._history, self._now, self._draw = history, now, draw
        self._makers = {**built_in.MAKERS, "services": Ports(draw, self._services).service}

    def create(self, at: Target, request: Request, owners: Owners | None = None) -> Object:
        """POST, or an apply of what is not there; ``owners`` of an apply."""
        resource, body = at.resource, copied(request.body or {})
        given = body.get("metadata") or {}
        metadata = {k: v for k, v in given.items() if k not in _OWN and v not in (None, [], {}, "")}
        name = given.get("name") or ""
        if not name:
            if not (stem := metadata.get("generateName")):
                raise problems.invalid(
                    resource, "", [Cause("FieldValueRequired", "metadata.name", "name or generateName is required")]
                )
            name = stem + "".join(self._draw.choice(_SUFFIX) for _ in range(5))
        if resource.namespaced and given.get("namespace") not in (None, "", at.namespace):
            raise problems.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        key = (at.namespace or "", name)
        self._admit_namespace(at)
        metadata |= {"name": name, "uid": self._uid(), "creationTimestamp": self._stamp()}
        if resource.namespaced:
            metadata["namespace"] = at.namespace
        if resource.counted:
            metadata["generation"] = 1
        obj = body | {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata}
        if resource.plural != "nodes":
            obj.pop("status", None)
        obj = self._finished(resource, obj, None, [])
        if self._history.find(resource, key) is not None:
            raise problems.already_exists(resource, name)
        made = owners if owners is not None else Written({}, _manager(at, request), None, obj)
        return self._history.commit(resource, ADDED, key, Entry(obj, made), request).copy()

    def patch(self, at: Target, request: Request) -> Object:
        """PATCH with a merge patch."""
        key, known = self._known(at)
        new = merged(known.object, {k: v for k, v in (request.body or {}).items() if k not in ("apiVersion", "kind")})
        return self._update(at, key, known, new, request)

    def apply(self, at: Target, request: Request) -> tuple[int, Object]:
        """PATCH of server-side apply; the HTTP status and the object."""
        resource, key = at.resource, (at.namespace or "", at.name or "")
        config: Object = merged(None, request.body or {})
        if at.subresource is None and resource.status:
            config.pop("status", None)
        known = self._history.find(resource, key)
        manager = (request.query.get("fieldManager", ""), "Apply", at.subresource or "")
        if known is None:
            owned = frozenset(path for path, _ in leaves(config, shape_of(resource)))
            return 201, self.create(at, request, {manager: owned})
        if resource.schema is not None and readable(resource.schema, known.object) is not known.object:
            raise problems.untyped("failed to create typed live object")
        owners = owners_of(resource, known.owners)
        force = request.query.get("force") == "true"
        try:
            new, after = applied(resource, known.object, owners, config, manager, force=force)
        except Conflicts as conflicts:
            raise problems.conflicts(resource, key[1], conflicts.found) from None
        return 200, self._update(at, key, known, new, request, (owners, after))

    def replace(self, at: Target, request: Request) -> tuple[int, Object]:
        """PUT. Of these kinds only Leases may be made so."""
        if (
            at.resource.plural == "leases"
            and self._history.find(at.resource, (at.namespace or "", at.name or "")) is None
        ):
            return 201, self.create(at, request)
        key, known = self._known(at)
        body = copied(request.body or {})
        uid = (body.get("metadata") or {}).get("uid")
        if uid not in (None, "", known.object["metadata"]["uid"]):
            raise problems.conflict(at.resource, key[1], "Precondition failed: UID in precondition")
        if at.resource.schema is not None and not (body.get("metadata") or {}).get("resourceVersion"):
            cause = Cause("FieldValueInvalid", "metadata.resourceVersion", "must be specified for an update")
            raise problems.invalid(at.resource, key[1], [cause], kind=at.resource.plural)
        kept = {k: known.object["metadata"][k] for k in _OWN if k in known.object["metadata"]}
        return 200, self._update(at, key, known, body | {"metadata": kept | (body.get("metadata") or {})}, request)

    def delete(self, at: Target, request: Request) -> tuple[int, Object]:
        """DELETE; the HTTP status and the answer."""
        key, known = self._known(at)
        resource, options, metadata = at.resource, request.body or {}, known.object["metadata"]
        conditions = options.get("preconditions") or {}
        for word in ("uid", "resourceVersion"):
            if word in conditions and conditions[word] != metadata[word]:
                why = f"Precondition failed: {word} in precondition: {conditions[word]}, in object: {metadata[word]}"
                raise problems.conflict(resource, key[1], why, kind=resource.kind)
        asked, pending = options.get("gracePeriodSeconds"), metadata.get("deletionGracePeriodSeconds") or 0
        if pending and (asked is None or asked >= pending):
            return 200, known.copy()  # its time is running; it may only be shortened
        if pending or "deletionTimestamp" not in metadata:
            grace = self._grace(resource, known.object, asked)
            if grace is not None or metadata.get("finalizers"):
                known = self._history.commit(resource, MODIFIED, key, self._marked(known, grace or 0), request)
            if grace:
                return 200, known.copy()
        if metadata.get("finalizers"):
            return 200, known.copy()
        return 200, self._removed(at, key, known, request)

    def _known(self, at: Target) -> tuple[Key, Entry]:
        key = (at.namespace or "", at.name or "")
        known = self._history.find(at.resource, key)
        if known is None:
            raise problems.not_found(at.resource, key[1])
        return key, known

    def _grace(self, resource: Resource, obj: Object, asked: int | None) -> int | None:
        """Return the seconds of grace that a DELETE gives, None for a kind without."""
        if not resource.graceful:
            return None
        spec, status = obj["spec"], obj.get("status") or {}
        if "deletionTimestamp" in obj["metadata"]:
            return asked
        if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
            return 0
        grace = int(spec.get("terminationGracePeriodSeconds", 30) if asked is None else asked)
        return grace if grace >= 0 else 1

    def _marked(self, known: Entry, grace: int) -> Entry:
        metadata = known.object["metadata"]
        marks: Object = {"deletionTimestamp": self._stamp(grace), "deletionGracePeriodSeconds": grace}
        if "deletionTimestamp" in metadata:  # from when it was marked first
            ends = datetime.fromisoformat(metadata["deletionTimestamp"])
            earlier = ends - timedelta(seconds=metadata["deletionGracePeriodSeconds"] - grace)
            marks["deletionTimestamp"] = earlier.strftime(_TIME)
        elif "generation" in metadata:
            marks["generation"] = metadata["generation"] + 1
        return Entry(known.object | {"metadata": metadata | marks}, known.owners)

    def _removed(self, at: Target, key: Key, known: Entry, request: Request) -> Object:
        gone = self._history.commit(at.resource, DELETED, key, known, request)
        if at.resource.returns_deleted:
            return gone.copy()
        details = {"name": key[1], "group": at.resource.group, "kind": at.resource.plural}
        details = {k: v for k, v in details.items() if v} | {"uid": known.object["metadata"]["uid"]}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}

    def _update(
        self,
        at: Target,
        key: Key,
        known: Entry,
        new: Object,
        request: Request,
        owners: tuple[Owners, Owners] | None = None,
    ) -> Object:
        """Write what an object is to be; ``owners`` of an apply: before and after it."""
        resource, old = at.resource, known.object
        before, metadata = old["metadata"], new["metadata"]
        if metadata.get("resourceVersion") not in (None, "", before["resourceVersion"]):
            raise problems.conflict(resource, key[1])
        causes: list[Cause] = []
        if at.subresource == "status" and resource.schema is not None:
            new = _with_part_of("status", old, new)
        else:
            if metadata.get("uid") not in (None, "", before["uid"]):
                causes.append(Cause("FieldValueInvalid", "metadata.uid", "field is immutable"))
            kept = {name: before[name] for name in _OWN if name in before}
            rest = {k: v for k, v in metadata.items() if k not in _OWN and v not in (None, [], {}, "")}
            if at.subresource == "status" and resource.plural == "pods":
                rest = _with_part_of("ownerReferences", rest, before)
            metadata = rest | kept
            causes += _added_finalizers(metadata, before)
            new = new | {"metadata": before if same(metadata, before) else metadata}
            if at.subresource == "status":
                new = _with_part_of("spec", new, old)
            elif resource.status:
                new = _with_part_of("status", new, old)
        sent = new
        new = self._finished(resource, new, old, causes, nulls=owners is not None)
        # Of a NetworkPolicy an empty list counts as a change, though it is not kept.
        looked_at = old | {"spec": sent["spec"]} if resource.plural == "networkpolicies" else new
        if resource.counted and not same(_counted(resource, looked_at), _counted(resource, old)):
            new = new | {"metadata": new["metadata"] | {"generation": before.get("generation", 1) + 1}}
        if same(new, old) and (owners is None or owners[0] == owners[1]):
            return known.copy()
        metadata = new["metadata"]
        if (
            "deletionTimestamp" in metadata
            and not metadata.get("finalizers")
            and not metadata.get("deletionGracePeriodSeconds")
        ):
            self._history.commit(resource, DELETED, key, known, request)
            return Entry(new, {}).copy()
        made = owners[1] if owners is not None else Written(known.owners, _manager(at, request), old, new)
        return self._history.commit(resource, MODIFIED, key, Entry(new, made), request).copy()

    def _finished(
        self, resource: Resource, obj: Object, old: Object | None, causes: list[Cause], *, nulls: bool = False
    ) -> Object:
        """Return an object pruned and with defaults; refuse what breaks the schema or a rule, and for causes given.

        With ``nulls`` (of an apply, which puts them in place of what it empties) they are refused, not left out.
        """
        if resource.schema is None:
            return self._built_in(resource, obj, old, causes)
        before = MISSING if old is None else old
        obj = shaped(resource.schema, obj, before, nulls=nulls)
        found: Found = []
        check(resource.schema, obj, before, "", found)
        if any(reason in BLOCKING for reason, _, _ in found):
            if resource.schema.has_rules:  # the real one says so where there is any rule
                found.append(
                    (INVALID, "<nil>", "some validation rules were not checked because the object was invalid")
                )
        else:
            check_rules(resource.schema, readable(resource.schema, obj), readable(resource.schema, before), "", found)
        if causes := [*causes, *(Cause(reason, path, message) for reason, path, message in found)]:
            raise problems.invalid(resource, obj["metadata"]["name"], causes)
        return obj

    def _built_in(self, resource: Resource, obj: Object, old: Object | None, causes: list[Cause]) -> Object:
        obj = built_in.tidied(obj if resource.status else _with_part_of("status", obj, {}))
        if (make := self._makers.get(resource.plural)) is not None:
            obj = make(obj, old)
        if causes := [*causes, *built_in.errors(resource.plural, obj, old)]:
            raise problems.invalid(resource, obj["metadata"]["name"], causes)
        return obj

    def _services(self) -> list[Object]:
        return [entry.object for entry in (self._history.entries.get("services") or {}).values()]

    def _admit_namespace(self, at: Target) -> None:
        if at.namespace is None:
            return
        space = self._history.find(served()["namespaces"], ("", at.namespace))
        if space is None:
            raise problems.not_found(served()["namespaces"], at.namespace)
        if "deletionTimestamp" in space.object["metadata"]:
            why = f"unable to create new content in namespace {at.namespace} because it is being terminated"
            cause = Cause("NamespaceTerminating", "metadata.namespace", f"namespace {at.namespace} is being terminated")
            raise problems.forbidden(at.resource, (at.name or ""), why, (cause,))

    def _uid(self) -> str:
        return str(uuid.UUID(int=self._draw.getrandbits(128), version=4))

    def _stamp(self, later: int = 0) -> str:
        return (self._now() + timedelta(seconds=later)).strftime(_TIME)


def _manager(at: Target, request: Request) -> Manager:
    return request.query.get("fieldManager", ""), "Update", at.subresource or ""


def _added_finalizers(metadata: Object, before: Object) -> list[Cause]:
    known = before.get("finalizers") or ()
    if "deletionTimestamp" not in before or all(one in known for one in metadata.get("finalizers") or ()):
        return []
    why = "no new finalizers can be added if the object is being deleted"
    return [Cause("FieldValueForbidden", "metadata.finalizers", why)]


def _with_part_of(part: str, obj: Object, other: Object) -> Object:
    """Return an object with a part as the other has it."""
    if part in other:
        return obj | {part: other[part]}
    return {k: v for k, v in obj.items() if k != part}


def _counted(resource: Resource, obj: Object) -> Any:
    """Return the part whose changes metadata.generation counts."""
    left = ("metadata", "status") if resource.status else ("metadata",)
    return {k: v for k, v in obj.items() if k not in left}
