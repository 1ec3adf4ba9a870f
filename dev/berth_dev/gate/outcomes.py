"""Outcomes of a part: counts and failures, as pytest's JUnit file tells them."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ParseError, parse

NODE: Final = "node"
INVARIANT: Final = "invariant"
"""Properties that berth_dev.gate.plugin gives to each test."""
MISSED: Final = "missed"
"""Property that a test gives itself where a figure is not reached: it is told and recorded, and refuses nothing."""
_COLLECTION: Final = "collection failure"


@dataclass(frozen=True)
class Failure:
    """A test that failed, or one of its fixtures."""

    node: str
    """Empty where the report does not say, as after the crash of a worker."""
    line: str
    """First line of the error."""
    text: str = ""
    is_invariant: bool = False
    is_collection: bool = False
    is_fixture: bool = False

    @property
    def file(self) -> str:
        """File of the test."""
        return self.node.partition("::")[0]

    @property
    def function(self) -> str:
        """Name of its function, without parameters."""
        return self.node.partition("[")[0].rpartition("::")[2]


@dataclass(frozen=True)
class Outcome:
    """A process of pytest that has ended."""

    part: str
    status: int
    """Exit status; negative where a signal ended it."""
    seconds: float
    log: Path
    passed: int = 0
    skipped: int = 0
    failures: tuple[Failure, ...] = field(default=())
    missed: tuple[str, ...] = ()
    """Figures that were not reached."""


def read(report: Path) -> tuple[int, int, tuple[Failure, ...], tuple[str, ...]]:
    """Return how many tests passed and were skipped, the failures, and missed figures; none without a readable file."""
    try:
        cases = list(parse(report).getroot().iter("testcase"))  # noqa: S314 (pytest wrote it)
    except (OSError, ParseError):
        return 0, 0, (), ()
    failures = tuple(failure for case in cases for failure in _failures(case))
    skipped = sum(case.find("skipped") is not None for case in cases)
    failed = sum(case.find("failure") is not None or case.find("error") is not None for case in cases)
    missed = tuple(one.get("value", "") for case in cases for one in case.iter("property") if one.get("name") == MISSED)
    return len(cases) - skipped - failed, skipped, failures, missed


def seconds(report: Path) -> dict[str, float]:
    """Return the seconds of each test file without fixtures, which may be of others. Raises OSError and ParseError."""
    sums = defaultdict[str, float](float)
    for case in parse(report).getroot().iter("testcase"):  # noqa: S314 (pytest wrote it)
        for found in case.iter("property"):
            if found.get("name") == NODE:
                sums[found.get("value", "").partition("::")[0]] += float(case.get("time", 0))
    return dict(sums)


def _failures(case: Element) -> Iterator[Failure]:
    properties = {one.get("name", ""): one.get("value", "") for one in case.iter("property")}
    for found in (*case.findall("failure"), *case.findall("error")):
        message = found.get("message", "")
        yield Failure(
            node=properties.get(NODE, ""),
            line=(message.strip() or "no message").splitlines()[0],
            text=f"{message}\n{found.text or ''}",
            is_invariant=INVARIANT in properties,
            is_collection=message == _COLLECTION,
            is_fixture=found.tag == "error",
        )
