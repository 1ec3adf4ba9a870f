"""GET of an object or a collection."""

import base64
import binascii
from collections.abc import Mapping

import orjson

from berth_core.kube.types import Object

from . import problems
from .history import Entry, Gone, History, Key
from .kinds import Resource, Target
from .problems import Refused
from .selectors import field_terms, selected

TABLE = "as=PartialObjectMetadata"
LATEST = -1
"""Version of a token that goes on with what is there by then."""


def read(history: History, at: Target) -> Object:
    """Return one object."""
    name = at.name or ""
    entry = history.find(at.resource, (at.namespace or "", name))
    if entry is None:
        raise problems.not_found(at.resource, name)
    return entry.copy()


def collection(history: History, at: Target, query: Mapping[str, str], accept: str) -> Object:
    """Return a list or a page of it (Kubernetes API Concepts: retrieving large results sets in chunks)."""
    try:
        matches = selected(at.resource, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        terms = field_terms(query.get("fieldSelector", ""))
        limit = int(query.get("limit") or 0)
    except ValueError as error:
        raise problems.bad_request(str(error)) from None
    version, after = history.version, None
    if token := query.get("continue"):
        version, after = position(token)
        version = history.version if version == LATEST else version
    wanted = query.get("resourceVersion") or "0"
    if token and wanted != "0":
        raise problems.bad_request("specifying resource version is not allowed when using continue")
    if not wanted.isdigit():
        raise problems.bad_request(f'invalid resource version "{wanted}"')
    if int(wanted) > history.version:
        raise Refused(504, "Timeout", f"Too large resource version: {wanted}, current: {history.version}")
    entries = history.entries.get(at.resource.plural) or {}
    if after is not None:
        try:
            entries = history.as_of(at.resource, version)
        except Gone:
            raise problems.expired(_token(LATEST, after)) from None
    single = next((value for path, equal, value in terms if equal and path == "metadata.name"), None)
    if single is not None and at.namespace is not None:  # then only that key is read
        entries = {key: entry for key, entry in entries.items() if key == (at.namespace, single)}
    node = next((value for path, equal, value in terms if equal and path == "spec.nodeName"), None)
    if node is not None and at.resource.plural == "pods" and after is None:  # the real server has an index of these
        entries = {key: entry for key, entry in entries.items() if entry.object["spec"].get("nodeName", "") == node}
    keys = sorted(
        key for key in entries if (at.namespace is None or key[0] == at.namespace) and (after is None or key > after)
    )
    found: list[tuple[Key, Entry]] = []
    metadata: Object = {"resourceVersion": str(version)}
    for number, key in enumerate(keys):
        if limit and len(found) == limit:
            # Whether what is left would match is not looked at.
            metadata["continue"] = _token(version, keys[number - 1])
            if matches is None:
                metadata["remainingItemCount"] = len(keys) - limit
            break
        if matches is None or matches(entries[key].object):
            found.append((key, entries[key]))
    return _listed(at.resource, [entry for _, entry in found], metadata, accept)


def _listed(resource: Resource, entries: list[Entry], metadata: Object, accept: str) -> Object:
    if TABLE in accept:
        items: list[Object] | None = [partial(entry) for entry in entries] or None
        kind, version = "PartialObjectMetadataList", "meta.k8s.io/v1"
    else:
        items = [entry.copy() for entry in entries]
        kind, version = f"{resource.kind}List", resource.api_version
        if resource.schema is None:  # items of Kubernetes' own kinds do not say what they are
            for item in items:
                del item["kind"], item["apiVersion"]
        else:
            metadata = {"continue": ""} | metadata
    return {"kind": kind, "apiVersion": version, "metadata": metadata, "items": items}


def partial(entry: Entry) -> Object:
    """Return an object's metadata."""
    metadata: Object = orjson.loads(orjson.dumps(entry.object["metadata"]))
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}


def _token(version: int, after: Key) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([version, *after])).decode()


def position(token: str) -> tuple[int, Key]:
    """Return a continue token's version, and the key after which it goes on.

    Raises:
        Refused: it is none.

    """
    try:
        version, namespace, name = orjson.loads(base64.urlsafe_b64decode(token))
    except (ValueError, binascii.Error):
        raise problems.bad_request("continue key is not valid") from None
    return version, (namespace, name)
