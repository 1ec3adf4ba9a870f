"""Parts of `make test` and `make test-all`: the tests that run together, and the time they may take."""

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


Stage = tuple[Part, ...]
"""Parts that run beside each other."""

# Folders with long files come first, so that the workers end at about the same time. Simulation, specification and fuzz
# rest on no clock of the machine, so they take the time that the tests of the cluster leave over.
GATE: Final[tuple[Stage, ...]] = (
    (Part("workers", (*WORKERS, "-m", "not release", "tests/envtest", "tests/unit"), 12 * MINUTE),),
    (
        Part("nodes", ("-m", "not release", "tests/e2e"), 8 * MINUTE),
        Part("beside", ("-m", "not release", "tests/sim", "tests/fuzz", "tests/spec"), 8 * MINUTE, is_nice=True),
    ),
)
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
