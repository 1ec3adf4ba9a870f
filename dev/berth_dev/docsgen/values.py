"""Writes the page of the chart's values from values.yaml: ``python -m berth_dev.docsgen.values FILE``."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from berth_dev.docsgen.tables import table
from berth_dev.paths import REPOSITORY

HEAD: Final = """# The chart's values

Made from `charts/berth/values.yaml` by `make generate`. `values.schema.json` refuses any other value. \
[helm.md](../how-to/helm.md) says which of them matter for a first installation.
"""


def page(text: str) -> str:
    """Return the page in Markdown for the text of a values.yaml. Pure."""
    lines, out = text.splitlines(), [HEAD]
    root: Any = yaml.compose(text)
    for key, value in root.value:
        out += [f"## {key.value}", ""]
        if about := comment(lines, key):
            out += [about, ""]
        inner = rows(lines, value, f"{key.value}.") if is_section(value) else [(key.value, source(lines, value), "")]
        out += table(("Value", "Default", "Meaning"), ((f"`{name}`", default, why) for name, default, why in inner))
    return "\n".join(out).rstrip() + "\n"


def rows(lines: list[str], section: yaml.MappingNode, above: str) -> Iterator[tuple[str, str, str]]:
    """Yield the name, default and comment of each value in a section."""
    for key, value in section.value:
        name = f"{above}{key.value}"
        if not is_section(value):
            yield name, source(lines, value), comment(lines, key)
            continue
        if about := comment(lines, key):
            yield name, "", about
        yield from rows(lines, value, f"{name}.")


def is_section(value: yaml.Node) -> bool:
    """Whether a value is a mapping of values, written on lines of its own."""
    return isinstance(value, yaml.MappingNode) and not value.flow_style


def source(lines: list[str], value: yaml.Node) -> str:
    """Return the default as it is written."""
    first, last = value.start_mark, value.end_mark
    if first.line == last.line:
        return f"`{lines[first.line][first.column : last.column]}`"
    body = "\n".join([" " * first.column + lines[first.line][first.column :], *lines[first.line + 1 : last.line]])
    return f"`{json.dumps(yaml.safe_load(body), ensure_ascii=False)}`"


def comment(lines: list[str], key: yaml.Node) -> str:
    """Return the comment above a key, as one line."""
    block: list[str] = []
    for line in reversed(lines[: key.start_mark.line]):
        if not line.strip().startswith("#"):
            break
        block.insert(0, line.strip().removeprefix("#").strip())
    return " ".join(word for word in block if word)


if __name__ == "__main__":
    chart = REPOSITORY / "charts" / "berth" / "values.yaml"
    Path(sys.argv[1]).write_text(page(chart.read_text(encoding="utf-8")), encoding="utf-8")
