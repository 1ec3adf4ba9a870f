"""Whether two answers are the same, but for what two servers must choose for themselves.

uids, names after generateName and cluster addresses are bound to each other where they first appear, and
must be the same ever after; resourceVersions also keep their order. README.md lists what is not compared.
"""

import bisect
from collections.abc import Iterable
from typing import Any, Final

from berth_core.kube.types import Object

from ..wire import Response

TIMES: Final = frozenset({"creationTimestamp", "deletionTimestamp"})
CHOSEN: Final = frozenset({"clusterIP", "clusterIPs"})
_NAMED: Final = "generateName"


class Different(Exception):  # noqa: N818 (a finding)
    """The answers differ; the message says where."""


class Bindings:
    """Pairs of values: the real server's choice, and the fake's for the same."""

    def __init__(self) -> None:
        self.real_of: dict[Any, Any] = {}
        self._fake_of: dict[Any, Any] = {}
        self._versions: list[tuple[int, int]] = [(0, 0)]
        self.scope = ""
        """Object to which an address belongs: it may be another's later."""

    def bind(self, real: Any, fake: Any, where: str) -> None:
        """Take two values for the same.

        Raises:
            Different: one of them stands for another already.

        """
        if self.real_of.setdefault(fake, real) != real or self._fake_of.setdefault(real, fake) != fake:
            raise Different(f"{where}: real {real!r}, fake {fake!r}; before {self.real_of[fake]!r}")

    def version(self, real: str, fake: str, where: str) -> None:
        """Take two resourceVersions of objects for the same; all pairs are in the same order."""
        self.bind(("version", real), ("version", fake), where)
        pair = (int(real), int(fake))
        index = bisect.bisect_left(self._versions, pair)
        if index < len(self._versions) and self._versions[index] == pair:
            return
        later = self._versions[index] if index < len(self._versions) else None
        if self._versions[index - 1][1] >= pair[1] or (later is not None and later[1] <= pair[1]):
            raise Different(f"{where}: resourceVersion real {real}, fake {fake}: out of order")
        self._versions.insert(index, pair)

    @property
    def versions(self) -> list[str]:
        """The fake's resourceVersions that are bound, oldest first."""
        return [str(pair[1]) for pair in self._versions[1:]]

    def moment(self, real: str, fake: str, where: str) -> None:
        """Take two lists' resourceVersions for the same moment: after the same commits."""
        as_real = self._versions[bisect.bisect_right(self._versions, int(real), key=lambda pair: pair[0]) - 1]
        as_fake = self._versions[bisect.bisect_right(self._versions, int(fake), key=lambda pair: pair[1]) - 1]
        if as_real != as_fake:
            raise Different(f"{where}: a list as of {as_real}, and as of {as_fake}")

    def token(self, real: str, fake: str) -> None:
        """Take two continue tokens for the same; the real one also tells commits that are not of this run."""
        self.real_of[fake] = real

    def real_version(self, fake: str) -> str:
        """Return the real server's resourceVersion; what was never bound is sent as it is."""
        found = self.real_of.get(("version", fake))
        return fake if found is None else str(found[1])

    def real_value(self, fake: str) -> str:
        """Return the real server's uid or token; what was never bound is sent as it is."""
        return str(self.real_of.get(fake, fake))


def compare(real: Response, fake: Response, bound: Bindings, messages: Iterable[str]) -> None:
    """Compare two answers.

    Raises:
        Different: they differ.

    """
    if real.status != fake.status:
        raise Different(f"status: real {real.status}, fake {fake.status}")
    if real.body.get("kind") == "Status":
        _status(real.body, fake.body, bound, messages)
    else:
        _value(real.body, fake.body, "", bound)


def compare_events(real: list[Object], fake: list[Object], bound: Bindings) -> None:
    """Compare two lists of watch events.

    Raises:
        Different: they differ.

    """
    shown = [[f"{event['type']} {event['object']['metadata']['name']}" for event in events] for events in (real, fake)]
    if [event["type"] for event in real] != [event["type"] for event in fake]:
        raise Different(f"events: real {shown[0]}, fake {shown[1]}")
    for number, (one, other) in enumerate(zip(real, fake, strict=True)):
        _value(one, other, f"event {number}", bound)


def _status(real: Object, fake: Object, bound: Bindings, messages: Iterable[str]) -> None:
    for word in ("kind", "status", "reason", "code"):
        if real.get(word) != fake.get(word):
            raise Different(f"{word}: real {real.get(word)}, fake {fake.get(word)}: {real.get('message')}")
    _value(real["metadata"], fake["metadata"], "metadata", bound)
    one, other = dict(real.get("details") or {}), dict(fake.get("details") or {})
    causes = [sorted({(c.get("reason"), c.get("field")) for c in d.pop("causes", ())}) for d in (one, other)]
    if causes[0] != causes[1]:
        raise Different(f"causes: real {causes[0]}, fake {causes[1]}: {real.get('message')}")
    bound.bind(one.pop("name", ""), other.pop("name", ""), "details.name")
    _value(one, other, "details", bound)
    for message in messages:
        if (message in real.get("message", "")) != (message in fake.get("message", "")):
            raise Different(f"rule {message!r}: real {real.get('message')!r}, fake {fake.get('message')!r}")


def _value(real: Any, fake: Any, where: str, bound: Bindings) -> None:
    if type(real) is not type(fake):
        raise Different(f"{where}: real {real!r}, fake {fake!r}")
    if isinstance(real, dict):
        _object(real, fake, where, bound)
    elif isinstance(real, list):
        if len(real) != len(fake):
            raise Different(f"{where}: real {real!r}, fake {fake!r}")
        for index, (one, other) in enumerate(zip(real, fake, strict=True)):
            _value(one, other, f"{where}[{index}]", bound)
    elif real != fake:
        raise Different(f"{where}: real {real!r}, fake {fake!r}")


def _object(real: Object, fake: Object, where: str, bound: Bindings) -> None:
    if isinstance(metadata := fake.get("metadata"), dict):
        bound.scope = metadata.get("uid", "")
    keys = sorted((real.keys() | fake.keys()) - {"managedFields"})
    for key in keys:
        path = f"{where}.{key}" if where else key
        if key not in real or key not in fake:
            raise Different(f"{path}: real {real.get(key)!r}, fake {fake.get(key)!r}")
        one, other = real[key], fake[key]
        if key == "resourceVersion" and where.endswith("metadata"):
            # Only lists have no name.
            (bound.version if "name" in real else bound.moment)(one, other, path)
        elif key == "uid" or key.endswith(("controller-uid", "job-name")) or (key == "name" and _NAMED in real):
            bound.bind(one, other, path)
        elif key in CHOSEN:
            bound.bind((bound.scope, str(one)), (bound.scope, str(other)), path)
        elif key == "continue" and one and other:
            bound.token(one, other)
        elif key in TIMES and where.endswith("metadata"):
            if not (isinstance(one, str) and isinstance(other, str) and len(one) == len(other)):
                raise Different(f"{path}: real {one!r}, fake {other!r}")
        else:
            _value(one, other, path, bound)
