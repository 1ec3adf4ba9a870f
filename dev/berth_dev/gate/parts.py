"""Parts of `make test` and `make test-all`: the tests that run together, and the time they may take."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MINUTE: Final = 60.0
WORKERS: Final = ("-n", "3", "-p", "berth_dev.gate.scheduling", "--no-loadscope-reorder")


@dataclass(frozen=True)
class Part:
    """Tests of one process of pytest."""

    name: str
    words: tuple[str, ...]
    aim_seconds: float
    """The part is stopped after twice that."""
    is_nice: bool = False
    """It takes the processor that other parts leave over."""

    @property
    def folders(self) -> tuple[str, ...]:
        """Folders whose tests it runs."""
        return tuple(word for word in self.words if word.startswith("tests/"))

    @property
    def at_once(self) -> int:
        """Tests that run beside each other."""
        return int(self.words[self.words.index("-n") + 1]) if "-n" in self.words else 1


Stage = tuple[Part, ...]
"""Parts that run beside each other."""

# Folders with long files come first, so that the workers end at about the same time. The cluster's tests wait for much,
# and the parts beside them take the processor meanwhile.
GATE: Final[tuple[Stage, ...]] = (
    (Part("workers", (*WORKERS, "-m", "not release", "tests/envtest"), 9 * MINUTE),),
    (
        Part("nodes", ("-m", "not release", "tests/e2e"), 7 * MINUTE),
        Part("beside", ("-m", "not release", "tests/sim", "tests/fuzz", "tests/spec"), 7 * MINUTE, is_nice=True),
        Part("unit", ("-m", "not release", "tests/unit"), 7 * MINUTE, is_nice=True),
    ),
)
_CHART: Final = ("tests/envtest/chart", "tests/envtest/operator/test_upgrade.py")
TRIGGERS: Final = {
    "crds/": _CHART,
    "charts/": _CHART,
    "devices/": ("tests/envtest/devices", "tests/e2e/test_devices.py"),
}
"""Folders whose changes `make test` tries with tests that else only `make test-all` runs. Of the specification and the
simulation it runs all that there is."""
TRIGGERED_SECONDS: Final = 4 * MINUTE
ALONE_IN_ALL: Final = ("tests/faults/", "tests/abuse/")
"""Folders of which `make test` runs nothing."""
ALL: Final[tuple[Stage, ...]] = (
    (Part("workers", (*WORKERS, "-m", "not alone", "tests/faults", "tests/envtest", "tests/unit"), 30 * MINUTE),),
    (Part("alone", ("-m", "alone", "tests/abuse", "tests/envtest", "tests/unit"), 10 * MINUTE),),
    (
        Part("nodes", ("tests/e2e",), 30 * MINUTE),
        Part("beside", ("tests/sim", "tests/fuzz", "tests/spec"), 15 * MINUTE, is_nice=True),
    ),
)


def triggered(changed: Iterable[str]) -> tuple[Stage, ...]:
    """Return the stage that changed files ask for, if any."""
    files = list(changed)
    tests = {one for folder, some in TRIGGERS.items() if any(file.startswith(folder) for file in files) for one in some}
    return ((Part("triggered", ("-m", "release", *sorted(tests)), TRIGGERED_SECONDS),),) if tests else ()
