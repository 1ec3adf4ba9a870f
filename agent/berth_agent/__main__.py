"""``python3 -m berth_agent`` shuts the door, says so to the hook that delays the workspace's start, and serves."""

import os
import signal
import ssl
import sys
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from berth_agent import carrier, identity, log, nft, push
from berth_agent.paths import Paths
from berth_agent.routes import Routes
from berth_agent.server import Server, listen
from berth_agent.store import Store
from berth_agent.vpn import Vpn


def main() -> int:
    """Serve until SIGTERM; 1 with one line that says why that cannot be."""
    try:
        serve(Paths.from_environment())
    except (OSError, ValueError, nft.NftError) as exc:
        log.event("cannot go on", "error", message=str(exc))
        return 1
    return 0


def serve(paths: Paths) -> None:
    """Answer the operator until SIGTERM. The ruleset in force stays in force when this process ends."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    epoch, store = identity.own_epoch(paths), Store(paths)
    close(paths, store, epoch)
    say_so(paths.closed)
    try:
        context = identity.server_context(paths)
    except ssl.SSLError as exc:
        raise ValueError(f"the certificates in {paths.secret} do not serve: {exc}") from exc
    try:
        listener = listen(paths.port)
    except OSError as exc:
        raise OSError(f"port {paths.port} cannot be bound, is it taken in this pod? {exc}") from exc
    log.event("serving", port=paths.port, epoch=epoch, in_force=store.in_force())
    routes = Routes(store, Vpn(paths), epoch, paths.port)
    beside = carrier.keep(paths) if carrier.is_wanted(paths) else None
    Server(listener=listener, context=context, routes=routes, beside=beside).run()


def close(paths: Paths, store: Store, epoch: int) -> None:
    """Put ``initial.json`` in force where no table exists."""
    with open(os.path.join(paths.secret, "initial.json"), "rb") as file:
        initial = push.parse(file.read())
    if initial.of.epoch != epoch:
        raise ValueError(f"initial.json is of epoch {initial.of.epoch}, the certificate of epoch {epoch}")
    state = store.start(initial)
    log.event("closed" if state else "a ruleset is in force already", epoch=epoch)


def say_so(pipe: str) -> None:
    """Leave a line in a named pipe, which its reader waits for and which is there only while this process lives.

    A file would outlast the network namespace that it speaks of.
    """
    with suppress(FileExistsError):
        os.mkfifo(pipe, 0o600)
    os.write(os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC), b"closed\n")  # never closed


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """End at once: a ruleset is one transaction, and the store finishes at the next start what is half done."""
    log.event("stopped", signal=signal.Signals(number).name)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
