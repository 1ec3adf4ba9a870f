"""Writes the page of variables from their readers: ``python -m berth_dev.docsgen.environment FILE``.

Names, types, bounds and defaults are those that a process's reader asks for; meanings stand beside the reader.
"""

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final
from unittest.mock import patch

from pydantic import Field, TypeAdapter

import berth_ci
from berth_agent import paths as agent
from berth_api import config as api
from berth_cli.jobs import check, keys, uninstall
from berth_cli.user import contexts
from berth_core import durations
from berth_core.archive import settings as archive
from berth_core.process import logs
from berth_core.process.settings import Settings
from berth_dev import paths
from berth_dev.docsgen.tables import table
from berth_dev.paths import REPOSITORY
from berth_hub import config as hub
from berth_notifier import config as notifier
from berth_operator.builds.manifests import jobs
from berth_operator.instances.manifests import hook
from berth_operator.settings import builds
from berth_operator.settings import config as operator

Meanings = Mapping[str, str]

HEAD: Final = """# The environment

Made from the code that reads the variables, by `make generate`. The chart sets those of the processes and of its \
Jobs from its [values](values.md). An empty variable counts as unset. A process with a variable that it cannot read \
ends at once, and its last line in the log names the variable.

In a pod, a process finds the API server by `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`, which the \
kubelet sets.
"""
REQUIRED: Final = object()
PATH: Final = TypeAdapter(Annotated[str, Field(description="path")])
WORDS: Final = TypeAdapter(Annotated[str, Field(description="comma list")])
SHELL: Final = re.compile(r"\$\{([A-Z_]+):-([^}]*)\}\s+# (.*)")
"""A variable of a shell script, with its default and its meaning."""


@dataclass(frozen=True)
class Process:
    """One reader of an environment: its function, the meanings, and variables without which it stops early."""

    title: str
    load: Callable[[Mapping[str, str]], object]
    meanings: Meanings
    least: Meanings = field(default_factory=dict)


@dataclass(frozen=True)
class Read:
    """One variable that was read: its type's adapter, None for text, and its default."""

    kind: TypeAdapter[Any] | None
    default: object


class Recorder(dict[str, str]):
    """An environment that keeps which variables were asked for, in their order."""

    def __init__(self, values: Meanings) -> None:
        super().__init__(values)
        self.reads: dict[str, Read] = {}

    def note(self, name: str, kind: TypeAdapter[Any] | None, default: object) -> None:
        """Keep one variable. The first default counts, which is the outermost, and the first type but text."""
        before = self.reads.setdefault(name, Read(kind, default))
        self.reads[name] = Read(before.kind or kind, before.default)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a variable as a mapping does."""
        self.note(name, None, default)
        return super().get(name, default)


ARCHIVE: Final = {"BERTH_ARCHIVE": "s3://bucket"}
NAMESPACES: Final = dict.fromkeys(("BERTH_NAMESPACE", "BERTH_WORKSPACE_NAMESPACES", "BERTH_ACCESS_NAMESPACE"), "x")


PROCESSES: Final = (
    Process(
        "The operator",
        operator.Config.from_environment,
        operator.VARIABLES | builds.VARIABLES | archive.VARIABLES,
        NAMESPACES | ARCHIVE | {f"BERTH_{name}_IMAGE": "x" for name in ("AGENT", "VPN", "CLONE", "CI")},
    ),
    Process(
        "The API",
        api.from_environment,
        api.VARIABLES | archive.VARIABLES,
        ARCHIVE | {"BERTH_OIDC_ISSUER": "x", "BERTH_OIDC_JWKS_URL": "https://x"},
    ),
    Process("The notifier", notifier.Config.from_environment, notifier.VARIABLES, NAMESPACES),
    Process("The hub", hub.Config.from_environment, hub.VARIABLES, NAMESPACES),
    Process("The agent in pods", agent.Paths.from_environment, agent.VARIABLES),
    Process("The Job before an uninstall", uninstall.release_of, uninstall.VARIABLES, NAMESPACES),
    Process("The Job before an upgrade", check.given, check.VARIABLES),
    Process("The Job of keys", keys.given, keys.VARIABLES),
)
LISTS: Final = {
    "The operator, the API, the notifier, the hub and the Jobs": logs.VARIABLES,
    "The steps of builds, and the clone into workspaces": berth_ci.VARIABLES,
    "Set for the script of a build": jobs.SCRIPT_VARIABLES,
    "Set for a hook": hook.VARIABLES,
    "The command line": contexts.VARIABLES,
    "Tools for developers": paths.VARIABLES,
}
"""Variables that are texts, with their default in the meaning."""


def page() -> str:
    """Return the page in Markdown."""
    lines = [HEAD]
    head = ("Variable", "Type", "Default", "Meaning")
    for process in PROCESSES:
        lines += [f"## {process.title}", "", *table(head, rows(process))]
    lines += ["## The VPN's container", "", *table(head, script_rows(REPOSITORY / "images" / "vpn" / "entrypoint"))]
    for title, meanings in LISTS.items():
        listed = ((f"`{name}`", meaning) for name, meaning in meanings.items())
        lines += [f"## {title}", "", *table(("Variable", "Meaning"), listed)]
    return "\n".join(lines).rstrip() + "\n"


def rows(process: Process) -> Iterator[tuple[str, str, str, str]]:
    """Yield the rows of one process, in the order in which it reads."""
    for name, read in reads(process).items():
        default = "required" if read.default is REQUIRED else shown(read.default)
        yield f"`{name}`", type_of(read), default, process.meanings[name]


def script_rows(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Yield the rows of a shell script."""
    for name, default, meaning in SHELL.findall(path.read_text(encoding="utf-8")):
        yield f"`{name}`", "text", f"`{default}`", meaning


def reads(process: Process) -> dict[str, Read]:
    """Return what a process reads from an environment that has the least that it goes on with."""
    environment = Recorder(process.least)

    def recording(method: str, default: object, kind: TypeAdapter[Any] | None = None) -> Callable[..., object]:
        original = getattr(Settings, method)
        signature = inspect.signature(original)

        def recorded(*given: Any, **named: Any) -> object:
            arguments = signature.bind(*given, **named).arguments
            environment.note(arguments["name"], arguments.get("kind", kind), arguments.get("default", default))
            return original(*given, **named)

        return recorded

    with patch.multiple(
        Settings,
        text=recording("text", ""),
        required=recording("required", REQUIRED),
        path=recording("path", None, PATH),
        words=recording("words", (), WORDS),
        read=recording("read", None),
    ):
        process.load(environment)
    return environment.reads


def type_of(read: Read) -> str:
    """Return a type in words, with its bounds: as its adapter describes it, else by its schema."""
    if read.kind is None:
        return "whole number" if isinstance(read.default, int) else "text"
    schema = read.kind.json_schema()
    if "description" in schema and "enum" not in schema:
        return str(schema["description"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    least, under = schema["minimum"], schema.get("exclusiveMaximum")
    most = schema.get("maximum", None if under is None else under - 1)
    return f"whole number, from {least}" + ("" if most is None else f" to {most}")


def shown(default: object) -> str:
    """Return a default as one would write it; empty for none."""
    match default:
        case None | "" | () | (False, ()):
            return "empty"
        case (True, ()):  # of the egress of builds: public addresses, and no network besides
            text = "open"
        case bool():
            text = str(default).lower()
        case timedelta():
            text = length(default)
        case Enum():
            text = str(default.value)
        case api.Listen():
            text = f"{default.host}:{default.port}"
        case tuple():
            text = ",".join(map(str, default))
        case frozenset():
            return "empty"
        case Mapping():
            text = json.dumps(default)
        case _:
            text = str(default)
    return f"`{text}`"


def length(time: timedelta) -> str:
    """Return a length of time in its largest whole unit.

    >>> length(timedelta(hours=36))
    '36h'
    """
    seconds = int(time.total_seconds())
    unit = next(unit for unit in ("d", "h", "m", "s") if seconds % durations.UNITS[unit] == 0)
    return f"{seconds // durations.UNITS[unit]}{unit}"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
