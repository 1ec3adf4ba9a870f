"""The page of environment variables, against the names in the code of the product."""

import ast
import re
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from berth_core.process import settings
from berth_dev.docsgen.environment import PROCESSES, Process, Read, page, reads, shown, type_of
from berth_dev.paths import REPOSITORY

NAME = re.compile(r"BERTH_[A-Z0-9_]*[A-Z0-9]\b(?!_)")
ROW = re.compile(r"^\| `_?(BERTH_[A-Z0-9_]+)`", re.MULTILINE)
FOLDERS = ("operator", "api", "notifier", "hub", "agent", "cli", "core", "ci", "charts", "dev", "images")
PAGES_OF_THE_COMMAND_LINE = "dev/berth_dev/docsgen/"


def texts() -> Iterator[str]:
    """Yield the text of the product's files, without the lists of meanings and without documentation."""
    listed = subprocess.run(["git", "ls-files", *FOLDERS], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    for name in listed.stdout.split():
        if name.endswith((".md", ".mod", ".sum", ".txt")) or name.startswith(PAGES_OF_THE_COMMAND_LINE):
            continue
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        yield without_meanings(text) if name.endswith(".py") else text


def without_meanings(text: str) -> str:
    """Return Python code without what is assigned to a name that ends with VARIABLES, where that is a dict."""
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Dict()) if name.endswith("VARIABLES"):
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict()) if name.endswith("VARIABLES"):
                pass
            case _:
                continue
        for line in range(node.lineno - 1, node.end_lineno or node.lineno):
            lines[line] = ""
    return "\n".join(lines)


def test_the_page_has_each_variable_of_the_product_and_no_other() -> None:
    named = {name for text in texts() for name in NAME.findall(text)}
    listed = set(ROW.findall(page()))
    prefixes = {name for name in named - listed if any(other.startswith(f"{name}_") for other in listed)}
    assert named - listed - prefixes == set()
    assert listed - named == set()


@pytest.mark.parametrize("process", PROCESSES, ids=lambda process: process.title)
def test_each_variable_that_a_process_reads_has_a_meaning_and_no_other_has(process: Process) -> None:
    assert set(reads(process)) == set(process.meanings)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (None, "text"),
        (settings.PORT, "whole number, from 0 to 65535"),
        (settings.AMOUNT, "whole number, from 1"),
        (settings.SWITCH, "`true` or `false`"),
        (settings.LENGTH, "length such as `90s`, `12h` or `30d`"),
    ],
)
def test_a_type_is_told_with_its_bounds(kind: TypeAdapter[Any] | None, words: str) -> None:
    assert type_of(Read(kind, "")) == words


@pytest.mark.parametrize(
    ("default", "text"),
    [
        (None, "empty"),
        ("", "empty"),
        ((), "empty"),
        ({}, "`{}`"),
        (False, "`false`"),
        (8080, "`8080`"),
        (timedelta(days=30), "`30d`"),
        (timedelta(hours=36), "`36h`"),
        (("a", "b"), "`a,b`"),
    ],
)
def test_a_default_is_shown_as_one_would_write_it(default: object, text: str) -> None:
    assert shown(default) == text
