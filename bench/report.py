"""Results of a bench: a table on the terminal and a file with the same figures."""

import json
import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from bench.load import Sample
from rich.console import Console
from rich.table import Table

from berth_dev.paths import REPOSITORY

RESULTS: Final = REPOSITORY / ".berth" / "bench"
COLUMNS: Final = ("min", "p50", "p90", "p99", "max")


@dataclass
class Report:
    """Rows of the table, in milliseconds, and other figures with their units."""

    name: str
    """Name of the file, without its ending."""
    options: dict[str, Any]
    """The command line."""
    times: dict[str, dict[str, float]] = field(default_factory=dict)
    others: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, seconds: Iterable[float]) -> None:
        """Add a row."""
        ordered = sorted(1000 * one for one in seconds)
        if ordered:
            p90, p99 = (ordered[int(len(ordered) * share)] for share in (0.9, 0.99))
            values = (ordered[0], statistics.median(ordered), p90, p99, ordered[-1])
            self.times[name] = {"n": len(ordered), **dict(zip(COLUMNS, values, strict=True))}

    def load(self, name: str, samples: list[Sample]) -> None:
        """Add a row for all requests but those to /healthz, and one for each kind of request."""
        asked = [s for s in samples if s.figure != "healthz"]
        self.add(f"{name}: all", (s.seconds for s in asked))
        for figure in sorted({s.figure for s in samples}):
            self.add(f"{name}: {figure}", (s.seconds for s in samples if s.figure == figure))
        self.others[f"{name}: answers that were not 200"] = sum(s.status != 200 for s in samples)

    def show(self, console: Console) -> None:
        """Print both tables."""
        table = Table("figure", "n", *COLUMNS, title="milliseconds")
        for name, row in self.times.items():
            table.add_row(name, f"{row['n']:.0f}", *(f"{row[column]:.2f}" for column in COLUMNS))
        console.print(table)
        rest = Table("figure", "value")
        for name, value in self.others.items():
            rest.add_row(name, f"{value:.2f}")
        console.print(rest)

    def save(self) -> None:
        """Write everything as JSON."""
        RESULTS.mkdir(parents=True, exist_ok=True)
        found = {
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "options": self.options,
            "times": self.times,
            "others": self.others,
        }
        (RESULTS / f"{self.name}.json").write_text(json.dumps(found, indent=1))
