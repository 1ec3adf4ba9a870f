"""Whether an object stands as a manifest of ours says. Pure."""

from typing import Final

from berth_core.kube.types import Object

_METADATA: Final = ("labels", "ownerReferences")


def stands(obj: Object, manifest: Object) -> bool:
    """Whether an object as the API server gave it has the labels, the owners and the spec of a manifest.

    True only where all is equal: what the API server fills in by itself, or others added, makes it False.
    """
    same = all(obj["metadata"].get(key) == manifest["metadata"].get(key) for key in _METADATA)
    return same and obj.get("spec") == manifest["spec"]
