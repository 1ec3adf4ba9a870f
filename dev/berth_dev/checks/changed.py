"""Which tests a change asks for: those that import what it changed, directly or not (``make test-changed``)."""

import ast
import subprocess
import sys
from pathlib import Path
from typing import Final

import grimp

from berth_dev.paths import REPOSITORY

PACKAGES: Final = {
    "berth_operator": "operator",
    "berth_api": "api",
    "berth_agent": "agent",
    "berth_core": "core",
    "berth_cli": "cli",
    "berth_notifier": "notifier",
    "berth_devices": "devices",
    "berth_ci": "ci",
}
TIERS: Final = ("tests/unit", "tests/envtest")
"""Tests that are run; ``make test`` runs others too."""


def concerned(changed: set[str], repository: Path = REPOSITORY) -> list[str]:
    """Return test files for some changed files, as paths from the repository."""
    graph = grimp.build_graph(*PACKAGES)
    modules = {module for module in map(_module, changed) if module is not None and module in graph.modules}
    touched = modules.union(*(graph.find_downstream_modules(module) for module in modules))
    tests = {name for name in changed if name.startswith(TIERS) and Path(name).name.startswith("test_")}
    for tier in TIERS:
        for path in sorted((repository / tier).rglob("test_*.py")):
            if touched & _imported(path):
                tests.add(str(path.relative_to(repository)))
    return sorted(name for name in tests if (repository / name).is_file())


def changed_files(base: str) -> set[str]:
    """Return files that differ from a revision, and those that git does not have."""
    differ = _git("diff", "--name-only", base)
    return {*differ, *_git("ls-files", "--others", "--exclude-standard")}


def main() -> None:
    """Print the tests for what differs from the revision that is the only argument."""
    sys.stdout.writelines(f"{name}\n" for name in concerned(changed_files(sys.argv[1])))


def _module(name: str) -> str | None:
    parts = Path(name).with_suffix("").parts
    if len(parts) < 2 or PACKAGES.get(parts[1]) != parts[0] or not name.endswith(".py"):
        return None
    return ".".join(parts[1:]).removesuffix(".__init__")


def _imported(path: Path) -> set[str]:
    modules = set[str]()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            modules |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
        elif isinstance(node, ast.Import):
            modules |= {name.name for name in node.names}
    return modules


def _git(*words: str) -> list[str]:
    process = subprocess.run(["git", *words], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return process.stdout.split()


if __name__ == "__main__":
    main()
