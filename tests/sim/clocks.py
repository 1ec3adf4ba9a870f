"""Every clock and every source of chance that the product asks, replaced once, before the product is imported.

While a simulated process runs, ``time``, ``secrets``, ``uuid`` and ``datetime.now`` speak for that process; else they
are what they were. The module ``random`` is seeded by each history. Keys are made once and are the same in every
history, since making them takes longer than a history and nothing under test depends on them.
"""

import random
import secrets
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from types import ModuleType
from typing import Any, Final, cast

from . import loops

PARTS: Final = ("berth_core", "berth_operator", "berth_api", "berth_agent")
MONOTONIC: Final = ("monotonic", "perf_counter")
WALL: Final = ("time",)

real: Final = {
    name: getattr(time, name)
    for name in (*MONOTONIC, *WALL, "monotonic_ns", "time_ns", "clock_gettime", "process_time")
}
"""The functions of the module ``time`` as they were."""


def _monotonic(before: Callable[[], float]) -> Callable[[], float]:
    def monotonic() -> float:
        return loops.running.time() if loops.running is not None else before()

    return monotonic


def _wall() -> float:
    return loops.running.wall().timestamp() if loops.running is not None else cast(float, real["time"]())


def _wall_ns() -> int:
    if loops.running is None:
        return cast(int, real["time_ns"]())
    return round(loops.running.wall().timestamp() * 1e6) * 1000


def _clock_gettime(clock: int) -> float:
    if loops.running is None:
        return cast(float, real["clock_gettime"](clock))
    return _wall() if clock == time.CLOCK_REALTIME else loops.running.time()


class _Meta(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, datetime)


class SimulatedDatetime(datetime, metaclass=_Meta):
    """``datetime`` for the modules under test; what it gives are plain ones."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]  # a plain one
        if loops.running is None:
            return datetime.now(tz)
        return loops.running.wall().astimezone(tz)


def _bits(count: int) -> int:
    return random.getrandbits(count) if loops.running is not None else random.SystemRandom().getrandbits(count)


def _token_bytes(count: int | None = None) -> bytes:
    return _bits((count or 32) * 8).to_bytes(count or 32, "big")


def install() -> None:
    """Replace what the standard library offers. Once, before the product is imported, which may bind some of it."""
    if early := [name for name in sys.modules if name.partition(".")[0] in PARTS]:
        raise RuntimeError(f"import tests.sim.clocks before {early[0]}: it would keep the real clocks")
    for name in MONOTONIC:
        setattr(time, name, _monotonic(real[name]))
    changes: dict[ModuleType, dict[str, Any]] = {
        time: {
            "time": _wall,
            "time_ns": _wall_ns,
            "monotonic_ns": lambda: int(time.monotonic() * 1e9),
            "clock_gettime": _clock_gettime,
        },
        secrets: {
            "randbits": _bits,
            "token_bytes": _token_bytes,
            "token_hex": lambda count=None: _token_bytes(count).hex(),
        },
        uuid: {"uuid4": lambda: uuid.UUID(int=_bits(128), version=4)},
    }
    for module, names in changes.items():
        for name, value in names.items():
            setattr(module, name, value)


def patch_datetime() -> None:
    """Give every module of the product that is imported by now the simulated ``datetime``."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in PARTS and vars(module).get("datetime") is datetime:
            vars(module)["datetime"] = SimulatedDatetime


def utc(seconds: float) -> datetime:
    """Return a second of the world as a time."""
    return datetime.fromtimestamp(loops.BEGIN.timestamp() + seconds, UTC)


install()
