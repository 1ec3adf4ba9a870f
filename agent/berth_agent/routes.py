"""Routes of the agent: ``/v1/state``, ``/v1/listening`` and ``/v1/vpn``."""

import time
from typing import Final

from berth_agent import connections, listening, log, nft, push, vpn
from berth_agent.loop import pause
from berth_agent.management import VpnError
from berth_agent.push import InForce
from berth_agent.store import StaleError, Store
from berth_agent.vpn import Vpn
from berth_agent.wire import HTTPError, Request

LONGEST_WAIT: Final = 10.0
_LOOK_EVERY: Final = 0.02


class Routes:
    """Answers for one instance and one epoch. Answers are the JSON objects of 200; HTTPError is any other."""

    def __init__(self, store: Store, vpn: Vpn, epoch: int, port: int) -> None:
        self._store = store
        self._vpn = vpn
        self._epoch = epoch
        self._port = port

    async def answer(self, request: Request, body: bytes) -> dict[str, object]:
        """Do what the request asks for."""
        match request.path, request.method:
            case "/v1/state", "PUT":
                return self._put(body)
            case "/v1/state", "GET":
                return self._get()
            case "/v1/listening", "GET":
                return await _listening(request)
            case "/v1/vpn", "GET":
                return await self._vpn_state(request)
            case "/v1/vpn", "PUT":
                return await self._refuse(body)
            case (("/v1/state" | "/v1/listening" | "/v1/vpn"), _):
                raise HTTPError(405, f"{request.method} does not work on {request.path}")
        raise HTTPError(404, "no such route")

    def _get(self) -> dict[str, object]:
        try:
            now = self._store.in_force()
        except nft.NftError as exc:
            raise HTTPError(500, str(exc)) from exc
        if now is None:
            raise HTTPError(503, "no ruleset is in force yet")
        return _shape(now)

    def _put(self, body: bytes) -> dict[str, object]:
        try:
            request = push.parse(body)
        except ValueError as exc:
            raise HTTPError(400, str(exc)) from exc
        if request.of.epoch != self._epoch:
            log.event("push refused", "warning", reason="epoch", epoch=request.of.epoch, ours=self._epoch)
            raise HTTPError(403, f"this agent serves epoch {self._epoch}")
        started = time.monotonic()
        try:
            now = self._store.apply(request)
        except StaleError as exc:
            log.event(
                "push refused", "warning", reason="stale", generation=request.of.generation, now=exc.now.generation
            )
            raise HTTPError(409, _shape(exc.now)) from exc
        except nft.NftError as exc:
            log.event("push refused", "error", reason="nft", generation=request.of.generation, message=str(exc))
            raise HTTPError(422, str(exc)) from exc
        took = round((time.monotonic() - started) * 1000, 1)
        log.event("in force", generation=now.generation, digest=now.digest, keys=len(request.keys), took_ms=took)
        if request.cut:
            self._cut()
        return _shape(now)

    def _cut(self) -> None:
        """End what others have opened. Where the kernel cannot, the ruleset answers their next packet with a reset."""
        try:
            log.event("connections ended", count=connections.end_inbound(but=self._port))
        except OSError as exc:
            log.event("connections not ended", "warning", message=str(exc))

    async def _vpn_state(self, request: Request) -> dict[str, object]:
        try:
            wait = float(request.query.get("wait", "0"))
        except ValueError as exc:
            raise HTTPError(400, "write /v1/vpn?wait=<seconds>") from exc
        if not wait >= 0:  # also true for a wait that is no number
            raise HTTPError(400, "`wait` must be from 0 on")
        if not self._vpn.present:
            raise HTTPError(404, "this instance has no VPN")
        return await self._vpn.state(min(wait, LONGEST_WAIT))

    async def _refuse(self, body: bytes) -> dict[str, object]:
        try:
            refusal = vpn.parse(body)
        except ValueError as exc:
            raise HTTPError(400, str(exc)) from exc
        if refusal.epoch != self._epoch:
            log.event("revocation refused", "warning", reason="epoch", epoch=refusal.epoch, ours=self._epoch)
            raise HTTPError(403, f"this agent serves epoch {self._epoch}")
        if not self._vpn.present:
            raise HTTPError(404, "this instance has no VPN")
        try:
            ended = await self._vpn.refuse(refusal)
        except vpn.ShorterError as exc:
            log.event("revocation refused", "warning", reason="shorter", message=str(exc))
            raise HTTPError(409, str(exc)) from exc
        except (VpnError, OSError) as exc:
            log.event("revocation failed", "error", message=str(exc))
            raise HTTPError(500, str(exc)) from exc
        log.event("revoked", clients=len(refusal.revoked), ended=ended)
        return {"epoch": refusal.epoch, "revoked": len(refusal.revoked), "ended": ended}


def _shape(now: InForce) -> dict[str, object]:
    return {"epoch": now.epoch, "generation": now.generation, "digest": now.digest}


async def _listening(request: Request) -> dict[str, object]:
    """Wait for a listening socket: look every 20 ms, since the kernel announces none."""
    try:
        port, wait = int(request.query["port"]), float(request.query.get("wait", "0"))
    except (KeyError, ValueError) as exc:
        raise HTTPError(400, "write /v1/listening?port=<1 to 65535>&wait=<seconds>") from exc
    if not (1 <= port <= 65535 and wait >= 0):  # also false for a wait that is no number
        raise HTTPError(400, "`port` must be from 1 to 65535, `wait` from 0 on")
    until = time.monotonic() + min(wait, LONGEST_WAIT)
    while not listening.is_listening(port):
        if time.monotonic() >= until:
            return {"listening": False}
        await pause(min(until, time.monotonic() + _LOOK_EVERY))
    return {"listening": True}
