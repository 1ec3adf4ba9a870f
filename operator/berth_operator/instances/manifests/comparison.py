"""Whether an object stands as a manifest of ours says. Pure."""

from typing import Final

from berth_core.kube.types import Object

_METADATA: Final = ("labels", "ownerReferences")


def stands(obj: Object, manifest: Object) -> bool:
    """Whether an object as the API server gave it has the labels, owners, annotations and spec of a manifest.

    Fields that the API server fills in by itself, or that others added, make it False; annotations of others do not.
    """
    wanted, told = manifest["metadata"].get("annotations") or {}, obj["metadata"].get("annotations") or {}
    same = wanted.items() <= told.items() and all(
        obj["metadata"].get(key) == manifest["metadata"].get(key) for key in _METADATA
    )
    return same and obj.get("spec") == manifest["spec"]
