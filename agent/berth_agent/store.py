"""Puts a push in force, all of it or nothing, at whatever moment the process is killed.

Order of one apply:

1. the push is written down (``pending.json``);
2. keys that it takes away leave ``authorized_keys``, keys that stay remain: revoked before anything opens;
3. the kernel loads the ruleset, one transaction; if it is refused, step 2 is undone and the push is forgotten;
4. ``authorized_keys`` and ``notice`` get their new text: granted only when the new rules are in force;
5. ``pending.json`` becomes ``applied.json``.

So at no moment is a revoked key usable under wider rules, nor a new key under the rules before. Every later call
first finishes or undoes what a killed process left half done: the table's comment says whether step 3 happened.
"""

import os
from typing import Final

from berth_agent import files, nft, push
from berth_agent.paths import Paths
from berth_agent.push import InForce, Push

_PUBLIC: Final = 0o644
_PRIVATE: Final = 0o600


class StaleError(Exception):
    """The push is not newer than what is in force, which ``now`` tells."""

    def __init__(self, now: InForce) -> None:
        super().__init__("a newer ruleset is in force")
        self.now = now


class Store:
    """The ruleset, keys and notice of one instance. Errors: StaleError, nft.NftError, OSError."""

    def __init__(self, paths: Paths) -> None:
        self._keys = os.path.join(paths.run, "authorized_keys")
        self._notice = os.path.join(paths.run, "notice")
        self._pending = os.path.join(paths.state, "pending.json")
        self._applied = os.path.join(paths.state, "applied.json")

    def in_force(self) -> InForce | None:
        """State in force, keys and notice included, as the kernel tells; None before the first ruleset."""
        self._recover()
        return nft.in_force()

    def apply(self, request: Push) -> InForce:
        """Put a push in force; returns once all of it is. A repeated push is applied again, with the same result."""
        self._recover()
        now = nft.in_force()
        if now is not None and push.is_stale(request.of, now):
            raise StaleError(now)
        self._apply(request, now)
        return request.of

    def start(self, initial: Push) -> bool:
        """Put the first push in force where no table exists; return whether that was so. A push in force stays."""
        self._recover()
        if nft.in_force() is not None:
            return False
        self._apply(initial, None)
        return True

    def _apply(self, request: Push, now: InForce | None) -> None:
        files.replace(self._pending, push.render(request), _PRIVATE)
        self._write_keys(tuple(key for key in self._keys_in_force() if key in request.keys))
        if request.of != now:
            try:
                nft.load(request.ruleset)
            except nft.NftError:
                self._recover()
                raise
        self._finish(request)

    def _recover(self) -> None:
        pending = _read(self._pending)
        if pending is None:
            return
        request = push.parse(pending)
        if nft.in_force() == request.of:
            self._finish(request)
            return
        self._write_keys(self._keys_in_force())
        os.unlink(self._pending)

    def _finish(self, request: Push) -> None:
        self._write_keys(request.keys)
        files.replace(self._notice, request.notice.encode(), _PUBLIC)
        os.replace(self._pending, self._applied)

    def _keys_in_force(self) -> tuple[str, ...]:
        applied = _read(self._applied)
        return push.parse(applied).keys if applied is not None else ()

    def _write_keys(self, keys: tuple[str, ...]) -> None:
        files.replace(self._keys, "".join(f"{key}\n" for key in keys).encode(), _PUBLIC)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None
