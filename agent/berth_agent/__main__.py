"""``python3 -m berth_agent`` serves; ``python3 -m berth_agent closed`` shuts the door before the workspace starts."""

import os
import signal
import ssl
import sys
from types import FrameType
from typing import NoReturn

from berth_agent import identity, log, nft, push
from berth_agent.paths import Paths
from berth_agent.routes import Routes
from berth_agent.server import Server, listen
from berth_agent.store import Store
from berth_agent.vpn import Vpn


def main(arguments: list[str]) -> int:
    """Run the command; 0 when done, 1 with one line that says why not, 2 for a command that does not exist."""
    commands = {(): serve, ("closed",): close}
    command = commands.get(tuple(arguments))
    if command is None:
        log.event("unknown command", "error", arguments=arguments, known=["(none)", "closed"])
        return 2
    try:
        command(Paths.from_environment())
    except (OSError, ValueError, nft.NftError) as exc:
        log.event("cannot go on", "error", command=" ".join(arguments) or "serve", message=str(exc))
        return 1
    return 0


def serve(paths: Paths) -> None:
    """Answer the operator until SIGTERM. What is in force stays in force when this process ends."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    epoch = identity.own_epoch(paths)
    try:
        context = identity.server_context(paths)
    except ssl.SSLError as exc:
        raise ValueError(f"the certificates in {paths.secret} do not serve: {exc}") from exc
    try:
        listener = listen(paths.port)
    except OSError as exc:
        raise OSError(f"port {paths.port} cannot be bound, is it taken in this pod? {exc}") from exc
    store = Store(paths)
    log.event("serving", port=paths.port, epoch=epoch, in_force=store.in_force())
    Server(listener=listener, context=context, routes=Routes(store, Vpn(paths), epoch, paths.port)).run()


def close(paths: Paths) -> None:
    """Put ``initial.json`` in force where no table exists. Works without the server, and beside it."""
    with open(os.path.join(paths.secret, "initial.json"), "rb") as file:
        initial = push.parse(file.read())
    epoch = identity.own_epoch(paths)
    if initial.of.epoch != epoch:
        raise ValueError(f"initial.json is of epoch {initial.of.epoch}, the certificate of epoch {epoch}")
    done = Store(paths).start(initial)
    log.event("closed" if done else "a ruleset is in force already", epoch=epoch)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    """End at once: an nft that runs is one transaction, and the store finishes at the next start what is half done."""
    log.event("stopped", signal=signal.Signals(number).name)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
