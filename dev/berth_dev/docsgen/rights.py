"""Writes the page of the rights from the chart: ``python -m berth_dev.docsgen.rights FILE``."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from berth_dev.commands import run
from berth_dev.components import HELM, build
from berth_dev.docsgen.tables import table
from berth_dev.paths import REPOSITORY

Json = dict[str, Any]

HEAD: Final = """# Rights

Made from the chart with its own values, in a release `berth` of the namespace `berth`, by `make generate`. The \
processes' rights are those of [files/rights.yaml](../../charts/berth/files/rights.yaml). No rule has a wildcard.
"""
OTHERS: Final = """## People and Jobs

A Role's rights hold in the named namespace, those of a ClusterRole where it is bound.
"""
PROCESSES: Final = {"operator": "operator", "api": "API", "notifier": "notifier", "hub": "hub"}
PLACES: Final = {
    "release": "release's namespace",
    "access": "namespace for access",
    "workspaces": "each workspace namespace",
    "cluster": "everywhere",
}
RIGHTS: Final = REPOSITORY / "charts" / "berth" / "files" / "rights.yaml"


def page(rights: Json, manifests: list[Json]) -> str:
    """Return the page in Markdown for the processes' rights and the manifests of a rendered chart. Pure."""
    processes = {f"berth-{process}" for process in rights}
    roles = [one for one in manifests if one["kind"] in ("ClusterRole", "Role") and not _is_of(one, processes)]
    bound = [one for one in manifests if one["kind"] in ("ClusterRoleBinding", "RoleBinding")]
    lines = [HEAD]
    for process, places in rights.items():
        rows = ((PLACES[place], *rule(_full(one)), one["for"]) for place in places for one in places[place])
        lines += [f"## The {PROCESSES[process]}", "", *table(("Where", "Resources", "Verbs", "For"), rows)]
    lines.append(OTHERS)
    for role in sorted(roles, key=lambda role: (role["metadata"]["name"], role["metadata"].get("namespace", ""))):
        lines += section(role, bound)
    return "\n".join(lines).rstrip() + "\n"


def section(role: Json, bound: list[Json]) -> Iterator[str]:
    """Yield the lines about one role."""
    name, namespace = role["metadata"]["name"], role["metadata"].get("namespace")
    yield f"### {role['kind']} {name}{f' in {namespace}' if namespace else ''}\n"
    holders = sorted({holder for binding in bound for holder in subjects(binding, role)})
    yield f"Held by {', '.join(holders)}.\n" if holders else "Bound to nobody by the chart.\n"
    yield from table(("Resources", "Verbs"), (rule(one) for one in role.get("rules") or ()))


def subjects(binding: Json, role: Json) -> Iterator[str]:
    """Yield the subjects that a binding gives a role, with the namespace that it holds in."""
    reference, place = binding["roleRef"], binding["metadata"].get("namespace")
    if (reference["kind"], reference["name"]) != (role["kind"], role["metadata"]["name"]):
        return
    if role["kind"] == "Role" and place != role["metadata"].get("namespace"):
        return
    where = f" in {place}" if place and role["kind"] == "ClusterRole" else ""
    for one in binding.get("subjects") or ():
        yield f"{one['kind']} `{one['name']}`{where}"


def rule(one: Json) -> tuple[str, str]:
    """Return a rule's resources, each with its group and names, and its verbs."""
    if "nonResourceURLs" in one:
        return ", ".join(f"`{url}`" for url in one["nonResourceURLs"]), ", ".join(one["verbs"])
    words = [f"`{resource(name, group)}`" for group in one["apiGroups"] for name in one["resources"]]
    only = f" named {', '.join(f'`{name}`' for name in one['resourceNames'])}" if one.get("resourceNames") else ""
    return ", ".join(words) + only, ", ".join(one["verbs"])


def _is_of(role: Json, processes: set[str]) -> bool:
    name = role["metadata"]["name"]
    return name in processes or name.removesuffix("-berth") in processes


def _full(one: Json) -> Json:
    """Return a rule of rights.yaml in the form of a Role's."""
    return {
        "apiGroups": [one.get("group", "berth.dev")],
        "resources": one["resources"],
        "resourceNames": one.get("names"),
        "verbs": one["verbs"],
    }


def resource(name: str, group: str) -> str:
    """Return a resource with its group, and its subresource after both.

    >>> resource("instances/status", "berth.dev")
    'instances.berth.dev/status'
    """
    plural, slash, part = name.partition("/")
    return f"{plural}.{group}{slash}{part}" if group else name


if __name__ == "__main__":
    helm = build((HELM,)).path("helm")
    rendered = run([helm, "template", "berth", REPOSITORY / "charts" / "berth", "--namespace=berth"]).stdout
    found = yaml.safe_load(RIGHTS.read_text(encoding="utf-8"))
    Path(sys.argv[1]).write_text(page(found, [one for one in yaml.safe_load_all(rendered) if one]), encoding="utf-8")
