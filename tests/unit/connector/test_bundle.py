"""The connector as one file, as hosts of labs run it: by their own Python, with nothing of ours installed."""

import ast
import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from berth_connector import bundle
from berth_dev.paths import REPOSITORY

FOLDER = REPOSITORY / "connector"
SYSTEM_PYTHON = "/usr/bin/python3"
SINCE_3_10 = {
    "asyncio": {"timeout", "timeout_at", "TaskGroup", "Runner", "Barrier"},
    "contextlib": {"aclosing", "chdir"},
    "datetime": {"UTC"},
    "enum": {"StrEnum", "verify", "member", "nonmember"},
    "itertools": {"pairwise", "batched"},
    "typing": {"Self", "assert_never", "override", "ParamSpec", "TypeAlias", "Concatenate", "Never", "LiteralString"},
    "inspect": {"get_annotations"},
    "os": {"EFD_CLOEXEC", "eventfd", "splice"},
}
"""Names that later versions brought, of the modules that the connector uses."""


def test_the_same_versions_give_the_same_bytes() -> None:
    assert bundle.build() == bundle.build()


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bundle") / "berth-connector.pyz"
    path.write_bytes(bundle.build())
    return path


def test_it_runs_with_the_systems_python_alone(pyz: Path, tmp_path: Path) -> None:
    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        command = [SYSTEM_PYTHON, "-I", str(pyz), *words]
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)

    assert run("--version").stdout == "0.1.0\n"
    missing = run("run", "--config", str(tmp_path / "none.conf"))
    assert missing.returncode == 1
    assert "`berth-connector enroll` writes it" in missing.stderr
    assert "Traceback" not in missing.stderr


def test_the_libraries_licenses_go_with_it(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        assert {"licenses/h2", "licenses/hpack", "licenses/hyperframe"} <= set(archive.namelist())


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: path.stem)
def test_its_modules_need_no_python_later_than_3_9(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 9))
    assert "from __future__ import annotations" in text or " | " not in text
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert node.attr not in SINCE_3_10.get(node.value.id, ()), f"{node.value.id}.{node.attr}"
        if isinstance(node, ast.ImportFrom):
            assert not {one.name for one in node.names} & SINCE_3_10.get(node.module or "", set())
        if isinstance(node, ast.Call):
            given = {one.arg for one in node.keywords}
            assert not ({"slots", "kw_only"} & given and getattr(node.func, "id", "") == "dataclass")
            assert not ("strict" in given and getattr(node.func, "id", "") == "zip")
            if getattr(node.func, "id", "") == "isinstance":
                assert not isinstance(node.args[1], ast.BinOp), "a union of types in isinstance is of 3.10"


def test_no_library_in_it_needs_a_python_later_than_3_9(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        for name in archive.namelist():
            if name.endswith(".py"):
                ast.parse(archive.read(name), filename=name, feature_version=(3, 9))
