"""Rights as operator/README.md, api/README.md and notifier/README.md list them."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from berth_dev.envtest.accounts import Rules
from berth_dev.envtest.testing import Namespaces
from berth_dev.paths import REPOSITORY

Right = tuple[str, str, str, str, str]
"""Place (workspaces, access, release or cluster), API group, resource, its name or nothing, verb."""

PLACES = {"each": "workspaces", "access": "access", "release": "release", "cluster": "cluster"}


def operator() -> set[Right]:
    """The operator's table: scope, group, resources, verbs."""
    return set(_scoped("operator/README.md"))


def notifier() -> set[Right]:
    """The notifier's table, of the same form."""
    return set(_scoped("notifier/README.md"))


def _scoped(path: str) -> Iterator[Right]:
    place = ""
    for cells in _rows(path):
        place = PLACES.get(cells[0].split(" ")[0], place)
        resources, _, only = cells[2].partition(" named ")
        for resource in re.findall(r"`([^`]+)`", resources):
            for verb in cells[3].replace(" ", "").split(","):
                yield place, _group(cells[1]), resource, only.strip("`"), verb


def api() -> set[Right]:
    """The API's table: group, resource, verbs, where."""
    return {
        (PLACES[re.split(r"\W", where)[0]], _group(group), resource.strip("`"), only.strip("`"), verb)
        for group, resources, verbs, where in _rows("api/README.md")
        for resource, _, only in [resources.partition(" named ")]
        for verb in re.sub(r"\(.*\)|`", "", verbs).replace(" ", "").split(",")
    }


def rules(rights: set[Right], namespaces: Namespaces) -> Mapping[str, Rules]:
    """The same as rules of roles, by namespace ("" for the cluster's)."""
    names = {
        "workspaces": namespaces.workspaces,
        "access": namespaces.access,
        "release": namespaces.release,
        "cluster": "",
    }
    found: dict[str, Rules] = {}
    for place, group, resource, name, verb in sorted(rights):
        only = {"resourceNames": [name]} if name else {}
        rule: dict[str, Any] = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        found.setdefault(names[place], []).append(rule | only)
    return found


def _rows(path: str) -> Iterator[list[str]]:
    """Cells of the rows of the table under "Rights" that name an API group."""
    text = (REPOSITORY / path).read_text()
    section = text[text.index("## Rights") :].split("\n## ", 1)[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) > 3 and any("`" in cell or cell == "(core)" for cell in cells[:2]):
            yield cells


def _group(cell: str) -> str:
    return "" if cell == "(core)" else cell.strip("`")
