"""Whether the caches have all that is marked on a type (ADR 0014), by the versions that their watches have seen."""

from typing import Any, cast

import pytest

from berth_api.cache.caches import Caches
from berth_core.kube.client import Client
from berth_core.resources import WorkspaceType


class Watches:
    """The caches of a replica whose watches of rules, reservations and instances have seen a version."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, version: int) -> None:
        self.caches = Caches(cast(Client, None), ["lab"])
        for reflector in self.caches.all.values():
            monkeypatch.setattr(reflector, "version", lambda _namespace: version)
            monkeypatch.setattr(reflector, "broken_for", lambda _now: 0.0)

    def sees(self, version: int, mark: str | None, uid: str = "u") -> None:
        self.caches.types.hear(written(version, mark, uid))

    async def know(self, version: int, mark: str | None, uid: str = "u") -> bool:
        return self.caches.are_current(WorkspaceType.parse(written(version, mark, uid)))


def written(version: int, mark: str | None, uid: str) -> dict[str, Any]:
    metadata = {"name": "bench", "namespace": "lab", "uid": uid, "resourceVersion": str(version)}
    metadata["creationTimestamp"] = "2026-05-01T00:00:00Z"
    spec = {"typeName": "bench", "template": {"image": "workspace:1"}}
    return {"metadata": metadata, "spec": spec, "status": {"admissionMark": mark} if mark is not None else {}}


async def test_other_changes_of_a_type_mark_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    watches = Watches(monkeypatch, version=10)
    watches.sees(9, "m1")
    watches.sees(20, "m1")
    assert await watches.know(30, "m1")


@pytest.mark.parametrize("mark", ["m2", None])
async def test_another_mark_counts_with_the_version_that_was_read(
    monkeypatch: pytest.MonkeyPatch, mark: str | None
) -> None:
    watches = Watches(monkeypatch, version=10)
    watches.sees(9, "m1")
    assert not await watches.know(11, mark)
    assert await watches.know(10, mark)


async def test_a_mark_that_is_newer_than_the_watches_counts_from_when_it_was_seen_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watches = Watches(monkeypatch, version=15)
    watches.sees(9, "m1")
    watches.sees(16, "m2")
    assert not await watches.know(17, "m2")


async def test_a_type_that_was_made_again_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    watches = Watches(monkeypatch, version=10)
    watches.sees(9, None, "first")
    assert not await watches.know(11, None, "second")
