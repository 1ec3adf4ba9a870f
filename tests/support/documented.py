"""Rights of the processes, as the chart's files/rights.yaml lists them."""

from collections.abc import Mapping
from typing import Any

import yaml

from berth_dev.envtest.accounts import Rules
from berth_dev.envtest.testing import Namespaces
from berth_dev.paths import REPOSITORY

Right = tuple[str, str, str, str, str]
"""Place (workspaces, access, release, keeper or cluster), API group, resource, its name or nothing, verb."""


def rights(process: str) -> set[Right]:
    """The rights of a process."""
    listed = yaml.safe_load((REPOSITORY / "charts" / "berth" / "files" / "rights.yaml").read_text())[process]
    return {
        (place, rule.get("group", "berth.dev"), resource, name, verb)
        for place, rules in listed.items()
        for rule in rules
        for resource in rule["resources"]
        for name in rule.get("names", [""])
        for verb in rule["verbs"]
    }


def rules(rights: set[Right], namespaces: Namespaces) -> Mapping[str, Rules]:
    """The same as rules of roles, by namespace ("" for the cluster's)."""
    names = {
        "workspaces": namespaces.workspaces,
        "access": namespaces.access,
        "release": namespaces.release,
        "keeper": namespaces.keeper,
        "cluster": "",
    }
    found: dict[str, Rules] = {}
    for place, group, resource, name, verb in sorted(rights):
        only = {"resourceNames": [name]} if name else {}
        rule: dict[str, Any] = {"apiGroups": [group], "resources": [resource], "verbs": [verb]}
        found.setdefault(names[place], []).append(rule | only)
    return found
