"""Writes the page of the metrics from their definitions: ``python -m berth_dev.docsgen.metrics FILE``."""

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from berth_dev.docsgen.tables import table
from berth_dev.paths import REPOSITORY

HEAD: Final = """# Metrics

Made from the metrics' definitions by `make generate`. Each process serves its own at `/metrics`: the operator and \
the notifier and the hub on port 8080, the API on port \
9090. Times are seconds. A counter's name ends with `_total`, a histogram \
has `_bucket`, `_sum` and `_count`.
"""
PROCESSES: Final = {
    "The operator": "operator",
    "The API": "api",
    "The notifier": "notifier",
    "The hub": "hub",
    "All of them": "core",
}
DEFINES: Final = re.compile(r"^from prometheus_client import .*(Counter|Gauge|Histogram)", re.MULTILINE)


def page() -> str:
    """Return the page in Markdown."""
    lines = [HEAD]
    for title, folder in PROCESSES.items():
        rows = [row for module in modules(REPOSITORY / folder) for row in metrics(module)]
        lines += [f"## {title}", "", *table(("Metric", "Kind", "Labels", "Meaning"), rows)]
    return "\n".join(lines).rstrip() + "\n"


def modules(folder: Path) -> Iterator[str]:
    """Yield the modules of a package's folder that define metrics."""
    for path in sorted(folder.rglob("*.py")):
        if DEFINES.search(path.read_text(encoding="utf-8")):
            yield ".".join(path.relative_to(folder).with_suffix("").parts)


def metrics(module: str) -> Iterator[tuple[str, str, str, str]]:
    """Yield the name, kind, labels and meaning of each metric that a module defines."""
    for value in vars(importlib.import_module(module)).values():
        if isinstance(value, MetricWrapperBase):
            family = next(iter(value.describe()))
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(f"`{label}`" for label in value._labelnames)
            yield f"`{name}`", family.type, labels, family.documentation


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
