"""Imports the product with its clocks replaced, and puts the few parts aside that reach outside of the process.

Replaced parts, beside clocks and chance (:mod:`tests.sim.clocks`): the path check (sockets), the process's own address
(a socket), host keys (cryptography), and logs, which go into the trace. So is garbage collection at the start of the
API, which would stop the simulation for longer than a history takes.
"""

import asyncio
import importlib
import logging
import sys
from collections.abc import Mapping, MutableMapping
from types import SimpleNamespace
from typing import Any, Final, NoReturn

import structlog

from berth_core.keys.ssh import KeyPair
from berth_operator.podspec.secrets import HostKey

from . import clocks, loops
from .cluster import Cluster
from .crashes import crashes
from .vpnauthority import FixedVpn

OPERATOR_ADDRESS: Final = "10.99.0.1"
PROCESSES: Final = ("berth_api.app", "berth_operator.__main__", "berth_agent.push")
KNOCK_SECONDS: Final = 0.01

told: Cluster | None = None
"""The cluster whose trace gets the logs."""
verbose = False
"""Whether the passes' own notes go there too."""


async def _path_stands(address: str, port: int, seconds: float) -> bool | None:
    await asyncio.sleep(KNOCK_SECONDS)
    return True


def _log(_: object, method: str, event: MutableMapping[str, Any]) -> NoReturn:
    if told is not None and loops.running is not None and not loops.running.dead and (method != "debug" or verbose):
        for crash in crashes(event.get("exc_info")):
            told.violated(f"crash: a pass of the sort {event.get('sort')}: {crash}"[:200])
        told.say(loops.running.name, str(event.pop("event")), "", _words(event))
    raise structlog.DropEvent


def _words(event: Mapping[str, Any]) -> str:
    words = []
    for key, value in event.items():
        if isinstance(value, BaseException):
            words.append(f"{type(value).__name__}: {value} {_place(value)}")
        else:
            words.append(f"{key}={value}")
    return " ".join(words)


def _place(error: BaseException) -> str:
    """Where an error comes from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"({trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno})" if trace is not None else ""


def _host_key() -> HostKey:
    return HostKey(b"key", "ssh-ed25519 AAAA")


REPLACED: Final[Mapping[str, object]] = {
    "berth_operator.instances.serving.path_stands": _path_stands,
    "berth_operator.instances.firewall.rules.own_address": lambda *_: OPERATOR_ADDRESS,
    "berth_operator.queue.reservations.make_key_pair": lambda: KeyPair("private", "ssh-rsa AAAA berth"),
    "berth_operator.instances.lease_secrets.new_host_key": _host_key,
    "berth_operator.builds.steps.new_host_key": _host_key,
    "berth_operator.instances.lease_secrets.VpnAuthority": FixedVpn,
    "berth_operator.instances.vpn.clients.Authority": FixedVpn,
    "berth_api.cache.caches.gc": SimpleNamespace(collect=lambda: 0, freeze=lambda: None),
}
"""Stand-ins for code of the product, by its qualified name."""


def _replace() -> None:
    for name, other in REPLACED.items():
        module, _, of = name.rpartition(".")
        in_module = importlib.import_module(module)
        getattr(in_module, of)  # a name that is gone fails
        setattr(in_module, of, other)
    structlog.configure(processors=[_log], cache_logger_on_first_use=False)
    logging.disable(logging.CRITICAL)
    # Processes that were killed leave coroutines that never end; nothing of that is a finding.
    sys.unraisablehook = lambda _: None
    for name in PROCESSES:
        importlib.import_module(name)  # all of it: what is imported later would keep the real datetime
    clocks.patch_datetime()


_replace()
