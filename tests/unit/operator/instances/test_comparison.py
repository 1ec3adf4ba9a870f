"""An object that matches its manifest is not written again."""

import copy
from typing import Any

import pytest

from berth_operator.instances.manifests.comparison import stands
from berth_operator.instances.manifests.policy import policy

from ..samples import CONFIG, lease_parts

MANIFEST = policy(lease_parts(), (), CONFIG)


def found() -> dict[str, Any]:
    """As the API server gives it."""
    obj = copy.deepcopy(MANIFEST)
    obj["metadata"] |= {"uid": "u", "resourceVersion": "7", "generation": 1}
    return obj | {"status": {"conditions": []}}


def test_what_the_api_server_adds_outside_of_the_spec_does_not_count() -> None:
    assert stands(found(), MANIFEST)


def test_annotations_of_others_do_not_count_and_ours_do() -> None:
    ours = MANIFEST | {"metadata": MANIFEST["metadata"] | {"annotations": {"berth.dev/nonce": "n1"}}}
    obj = found()
    assert not stands(obj, ours)
    obj["metadata"]["annotations"] = {"berth.dev/nonce": "n1", "example.com/seen": "yes"}
    assert stands(obj, ours)
    assert stands(obj, MANIFEST)


@pytest.mark.parametrize("where", ["spec", "labels", "ownerReferences"])
def test_what_anybody_changed_is_written_again(where: str) -> None:
    for change in ("gone", "more"):
        obj = found()
        part = obj if where == "spec" else obj["metadata"]
        if change == "gone":
            del part[where]
        elif isinstance(part[where], list):
            part[where].append({"name": "other"})
        else:
            part[where]["other"] = "x"
        assert not stands(obj, MANIFEST), change
