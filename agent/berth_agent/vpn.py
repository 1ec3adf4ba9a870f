"""The VPN beside the workspace, where there is one: whether it serves, and which of its clients it refuses.

The operator sends the list of revoked clients (CRL), signed; OpenVPN reads it at each handshake. Order of one push:

1. the list is put in place, so that no handshake that begins from now on lets a revoked client in;
2. revoked clients are written down: a later push that lacks any of them is refused, since revocations are final;
3. sessions of revoked clients are ended, and handshakes under way, which may have looked at the list before.

The management socket lies on a volume that the workspace does not have. The VPN, which talks to strangers, does: files
there are not trusted, and no link is followed. OpenVPN serves one client on it at a time.
"""

import json
import os
import re
import time
from typing import Any, Final, NamedTuple

from berth_agent import files
from berth_agent.loop import pause
from berth_agent.management import UNNAMED, Session, VpnError, connect, is_connected, sessions
from berth_agent.paths import Paths

FAREWELL: Final = 0.05
"""How long a client has to be told before its session is cut."""
MAX_REVOKED: Final = 1024
LONGEST_PROBLEM: Final = 1000
"""Most bytes of the VPN container's words that are reported."""
_ID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CRL: Final = re.compile(r"-----BEGIN X509 CRL-----\n[A-Za-z0-9+/=\n]+-----END X509 CRL-----\n")


class Refusal(NamedTuple):
    """A request to refuse clients: the signed list, and the ids of those on it."""

    epoch: int
    crl: str
    revoked: tuple[str, ...]


class ShorterError(Exception):
    """The list lacks a client that is revoked already."""


def parse(body: bytes) -> Refusal:
    """Read the JSON of ``PUT /v1/vpn``. ValueError says what is wrong with it."""
    try:
        fields: Any = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise ValueError("the body is not JSON") from exc
    if not isinstance(fields, dict):
        raise ValueError("the body is not a JSON object")
    epoch, crl, revoked = fields.get("epoch"), fields.get("crl"), fields.get("revoked")
    if not isinstance(epoch, int) or isinstance(epoch, bool):
        raise ValueError("`epoch` must be an integer")
    if not isinstance(crl, str) or not _CRL.fullmatch(crl):
        raise ValueError("`crl` must be a certificate revocation list in PEM")
    if not isinstance(revoked, list) or len(revoked) > MAX_REVOKED:
        raise ValueError(f"`revoked` must be a list of at most {MAX_REVOKED} ids")
    if not all(isinstance(one, str) and _ID.fullmatch(one) for one in revoked):
        raise ValueError("`revoked` must hold UUIDs")
    return Refusal(epoch, crl, tuple(revoked))


class Vpn:
    """The VPN of one instance. Errors: VpnError, ShorterError, OSError of the files."""

    def __init__(self, paths: Paths) -> None:
        self._folder = paths.vpn
        self._socket = os.path.join(paths.vpn, "management.sock")
        self._crl = os.path.join(paths.vpn, "crl.pem")
        self._problem = os.path.join(paths.vpn, "problem")
        self._revoked = os.path.join(paths.state, "revoked.json")

    @property
    def present(self) -> bool:
        """Whether this instance has a VPN."""
        return os.path.isdir(self._folder)

    async def state(self, wait: float) -> dict[str, object]:
        """Wait until it serves; return whether it does, and else the reason, as far as it has given one."""
        until = time.monotonic() + wait
        while not self._serves():
            if time.monotonic() >= until:
                return {"ready": False, "problem": self._complaint()}
            await pause(min(until, time.monotonic() + 0.05))
        return {"ready": True, "problem": ""}

    async def refuse(self, refusal: Refusal) -> int:
        """Put a list in force and end sessions that it forbids; return how many were ended."""
        if missing := set(self._known()) - set(refusal.revoked):
            raise ShorterError(f"the list lacks {len(missing)} clients that are revoked already")
        files.replace(self._crl, refusal.crl.encode(), 0o644)
        files.replace(self._revoked, json.dumps(list(refusal.revoked)).encode(), 0o600)
        return await self._cut(frozenset(refusal.revoked))

    async def _cut(self, revoked: frozenset[str]) -> int:
        """End sessions of the revoked: told first, then cut whether they heed it or not.

        Between the two the socket is free for others, since OpenVPN would let them wait.
        """
        told = self._tell(revoked)
        if told:
            await pause(time.monotonic() + FAREWELL)
            self._kill(revoked)
        return len(told)

    def _tell(self, revoked: frozenset[str]) -> list[Session]:
        """Tell sessions of the revoked to end, and cut handshakes under way; returns those sessions."""
        management = connect(self._socket)
        if management is None:
            return []
        with management:
            present = sessions(management.ask("status 2", until="END"))
            for session in present:
                if session.name in revoked:
                    management.ask(f"client-kill {session.number} HALT")
                elif session.name == UNNAMED:
                    management.ask(f"kill {session.address}")
        return [session for session in present if session.name in revoked]

    def _kill(self, revoked: frozenset[str]) -> None:
        management = connect(self._socket)
        if management is None:
            return
        with management:
            for name in sorted({one.name for one in sessions(management.ask("status 2", until="END"))} & revoked):
                management.ask(f"kill {name}")
            sessions_left = [one for one in sessions(management.ask("status 2", until="END")) if one.name in revoked]
        if sessions_left:
            raise VpnError(f"{len(sessions_left)} sessions of revoked clients could not be ended")

    def _serves(self) -> bool:
        try:
            management = connect(self._socket)
            if management is None:
                return False
            with management:
                return is_connected(management.ask("state", until="END"))
        except VpnError:
            return False

    def _complaint(self) -> str:
        return files.beginning(self._problem, LONGEST_PROBLEM).decode("utf-8", errors="replace").strip()

    def _known(self) -> list[str]:
        try:
            with open(self._revoked, "rb") as file:
                ids: list[str] = json.load(file)
        except FileNotFoundError:
            return []
        return ids
