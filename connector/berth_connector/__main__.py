"""``berth-connector``: run, enroll, status."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys
import time
from collections.abc import Sequence

from berth_connector import files, hubclient, identity, installing, log, record, running
from berth_connector.config import Config, ConfigError, host_port, load, render, target
from berth_connector.hubclient import HubError, RefusedError
from berth_connector.identity import Identity, IdentityError
from berth_connector.record import Record, RecordError

VERSION = "0.1.0"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 1 with one line that says what to do where it fails."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.command(options))
    except (ConfigError, IdentityError, RecordError, HubError, OSError) as error:
        print(f"berth-connector: {error}", file=sys.stderr)
        return 1


def run(options: argparse.Namespace) -> int:
    """Run until SIGTERM."""
    config = load(options.config)
    kept = Record(config.state)
    own = Identity.load(config.state)
    own.context()
    log.event("starting", version=VERSION, connector=own.name, targets=config.targets, stops=bool(config.on_disconnect))
    asyncio.run(running.Running(config, own, kept, VERSION).run())
    return 0


def enroll(options: argparse.Namespace) -> int:
    """Exchange the token for a certificate, and begin to run."""
    where = installing.places(os.geteuid() == 0, os.path.expanduser("~"))
    path, state = options.config or where.config, options.state or where.state
    config = Config(
        hub=tuple(host_port(word) for word in options.hub),
        state=state,
        targets=tuple(target(word) for word in options.target),
        on_disconnect=tuple(shlex.split(options.on_disconnect)),
    )
    if os.path.exists(path):
        former = load(path)
        config = Config(
            config.hub,
            former.state,
            former.targets or config.targets,
            former.link_loss_timeout,
            former.on_disconnect or config.on_disconnect,
            former.on_disconnect_timeout,
        )
    request = identity.prepare(config.state)
    document = hubclient.trust(config.hub)
    known = identity.pinned(document, options.trust)
    try:
        answer = hubclient.enroll(config.hub, known, options.token, request)
    except RefusedError:
        if not _is_enrolled(config.state):
            identity.discard_key(config.state)
        raise
    identity.keep(
        config.state, document, {"name": str(answer["name"]), "uid": str(answer["uid"])}, str(answer["certificate"])
    )
    os.makedirs(os.path.dirname(path), exist_ok=True)
    files.replace(path, render(config).encode(), 0o644)
    print(f"This host is connector {answer['name']}. Its settings are in {path}.")
    if not config.targets:
        print(f"No machine can be reached yet: name it under `targets` in {path}, and restart the connector.")
    if not options.no_start:
        for line in installing.install(where, os.geteuid() == 0):
            print(line)
    return 0


def status(options: argparse.Namespace) -> int:
    """Print how things stand; 0 only where the connector is linked and nothing is owed."""
    config = load(options.config)
    own = Identity.load(config.state)
    begin, end = own.dates()
    marks = record.load(config.state)
    last = identity.reported(os.path.join(config.state, running.STATUS))
    alive = _lives(last.get("pid"))
    linked = alive and bool(last.get("links"))
    print(f"Connector:   {own.name} ({own.uid})")
    print(f"Linked:      {', '.join(last.get('links', [])) if linked else 'no'}")
    if not alive:
        print("             it does not run: systemctl start berth-connector")
    elif last.get("problem"):
        print(f"             {last['problem']}")
    print(f"Certificate: {_day(begin)} to {_day(end)}{' (expired)' if end < time.time() else ''}")
    print(f"Targets:     {', '.join(config.targets) or 'none'}")
    for deployment, mark in sorted(marks.items()):
        words = [f"epoch {mark.epoch}"] + ["over"] * mark.over + ["NOT AT REST: onDisconnect goes on"] * mark.owed
        print(f"Deployment:  {deployment}: {', '.join(words)}")
    return 0 if linked and not any(mark.owed for mark in marks.values()) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="berth-connector", description="Links this host's machines to Berth.")
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    where = installing.places(os.geteuid() == 0, os.path.expanduser("~"))
    one = commands.add_parser("run", help="run in the foreground, as systemd does")
    one.add_argument("--config", default=where.config, help="settings (default: %(default)s)")
    one.set_defaults(command=run)
    one = commands.add_parser("enroll", help="exchange a token of `berth connector enroll` for a certificate")
    one.add_argument("--hub", required=True, action="append", help="host:port of the hub; may be repeated")
    one.add_argument("--trust", required=True, help="sha256:<digest> of the hub's document of trust")
    one.add_argument("--token", required=True, help="the one-use token")
    one.add_argument("--target", action="append", default=[], help="address:port that streams may go to")
    one.add_argument("--on-disconnect", default="", help="command that brings the machine to rest")
    one.add_argument("--config", help=f"settings (default: {where.config})")
    one.add_argument("--state", help=f"folder of key and marks (default: {where.state})")
    one.add_argument("--no-start", action="store_true", help="write the files, and start nothing")
    one.set_defaults(command=enroll)
    one = commands.add_parser("status", help="show link, certificate and epochs")
    one.add_argument("--config", default=where.config, help="settings (default: %(default)s)")
    one.set_defaults(command=status)
    return parser


def _is_enrolled(state: str) -> bool:
    try:
        Identity.load(state)
    except IdentityError:
        return False
    return True


def _lives(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))


__all__: list[str] = ["main"]

if __name__ == "__main__":
    sys.exit(main())
