"""Kinds of objects and their URLs, the objects themselves, and events of watches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

Object = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of objects, by its place in the API: ``Kind("berth.dev/v1alpha1", "instances")``."""

    api_version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """URL path of the collection, or of one object or its subresource."""
        root = "/apis/" if "/" in self.api_version else "/api/"
        parts = [root + self.api_version]
        if namespace is not None and self.namespaced:
            parts.append(f"namespaces/{quote(namespace, safe='')}")
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        if subresource is not None:
            parts.append(subresource)
        return "/".join(parts)


LEASES: Final = Kind("coordination.k8s.io/v1", "leases")
PODS: Final = Kind("v1", "pods")


@dataclass(frozen=True)
class WatchEvent:
    """One line of a watch: ``type`` is ADDED, MODIFIED, DELETED or BOOKMARK."""

    type: str
    object: Object


def selectors(labels: Mapping[str, str] | None, fields: Mapping[str, str] | None) -> dict[str, str]:
    """Return the query of a list or watch for labels (an empty value asks for the label itself) and fields."""
    query = {}
    if labels:
        query["labelSelector"] = ",".join(f"{k}={v}" if v else k for k, v in labels.items())
    if fields:
        query["fieldSelector"] = ",".join(f"{k}={_escaped(v)}" for k, v in fields.items())
    return query


def _escaped(value: str) -> str:
    # As apimachinery's fields.EscapeValue: a user's name must not add terms to the selector.
    return value.replace("\\", "\\\\").replace(",", "\\,").replace("=", "\\=")
