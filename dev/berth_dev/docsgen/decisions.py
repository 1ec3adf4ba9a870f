"""Writes the list of decisions from their pages: ``python -m berth_dev.docsgen.decisions FILE``."""

import sys
from pathlib import Path

from berth_dev.paths import REPOSITORY

HEAD = """# Decisions

Made from the pages by `make generate`. Each page has the question, the decision, what was chosen against, and what
follows.

| Number | Decision | Date, state |
|---|---|---|
"""


def rows(folder: Path) -> list[str]:
    """Return one row of the table for each decision in a folder, by number."""
    lines = []
    for path in sorted(folder.glob("0*.md")):
        heading, _, state, *_rest = path.read_text(encoding="utf-8").splitlines()
        number, _, title = heading.removeprefix("# ").partition(": ")
        lines.append(f"| {number} | [{title}]({path.name}) | {state.rstrip('.')} |\n")
    return lines


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(HEAD + "".join(rows(REPOSITORY / "docs" / "adr")), encoding="utf-8")
