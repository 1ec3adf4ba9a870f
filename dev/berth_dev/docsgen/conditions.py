"""Writes the page of conditions from berth_core.reasons: ``python -m berth_dev.docsgen.conditions FILE``."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from berth_core.reasons import TABLES, Conditions
from berth_dev.docsgen.tables import table

HEAD: Final = """# Conditions and reasons

Made from `core/berth_core/reasons` by `make generate`. `kubectl describe` and `kubectl get -o yaml` show the \
conditions of an object. Each has a status, a reason for programs and a message for people. The message is more exact \
than this page: it names the object, the limit or the command.

In a row without a reason, the meaning is that of the status True. \
Where a container does not run, an Instance's Ready and PodReady show the kubelet's own reason, such as `ErrImagePull`.
"""


def page() -> str:
    """Return the page in Markdown."""
    lines = [HEAD]
    for kind in TABLES:
        lines += [f"## {kind.kind}", "", *table(("Condition", "Reason", "Set when", "Next step"), rows(kind))]
    return "\n".join(lines).rstrip() + "\n"


def rows(kind: Conditions) -> Iterator[tuple[str, str, str, str]]:
    """Yield the rows of one kind: its types, then its reasons in the order of an object's life."""
    for name, meaning in kind.types.items():
        yield f"**{name}**", "", meaning, ""
    for reason in kind.reasons:
        yield ", ".join(reason.conditions), f"`{reason.word}`", reason.when, reason.step


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
