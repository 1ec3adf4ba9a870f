"""Commands and links of the documentation: each command exists, with its options, and each link leads somewhere."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from berth_cli.main import app
from berth_dev.docsgen.site import rewritten
from berth_dev.paths import REPOSITORY

FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)")
TARGETS = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def pages() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return [REPOSITORY / name for name in listed.stdout.split() if name != "CHANGELOG.md"]


def commands(name: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the page and the words of each line of the documentation that calls a program of this name."""
    for page in pages():
        for _, code in FENCE.findall(page.read_text()):
            for line in code.splitlines():
                text = line.removeprefix("$ ").strip()
                if text.startswith(f"{name} "):
                    yield str(page.relative_to(REPOSITORY)), shlex.split(re.split(r" [|>&;#]", text)[0])[1:]


def test_each_make_target_exists() -> None:
    wanted = [(page, words) for page, words in commands("make")]
    assert len(wanted) > 5
    missing = [(page, word) for page, words in wanted for word in words if "=" not in word and word not in TARGETS]
    assert not missing


def test_each_command_of_the_command_line_exists_with_its_options() -> None:
    found = list(commands("berth"))
    assert len(found) > 20
    root = get_command(app)
    for page, words in found:
        command: Any = root
        path: list[str] = []
        for word in words:
            if hasattr(command, "commands") and not word.startswith("-"):
                assert word in command.commands, f"{page}: berth {' '.join([*path, word])}"
                command = command.commands[word]
                path.append(word)
            elif word == "--":
                break
            elif word.startswith("--"):
                known = {
                    option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
                }
                assert word.partition("=")[0] in known | {"--help"}, f"{page}: berth {' '.join(path)} {word}"


def test_the_five_minutes_of_the_readme_are_those_of_the_first_lease_which_are_played() -> None:
    (shown,) = [code for _, code in FENCE.findall((REPOSITORY / "README.md").read_text()) if code.startswith("$ ")]
    assert shown in (REPOSITORY / "docs/tutorials/first-lease.md").read_text()


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_each_link_leads_to_a_file(page: Path) -> None:
    assert [link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    ("text", "repository", "result"),
    [
        (
            "[a](../../api/README.md#x)",
            "https://git.example/berth",
            "[a](https://git.example/berth/blob/main/api/README.md#x)",
        ),
        ("[a](../../api/README.md)", None, "a"),
        ("[a](../adr/0001.md)", None, "[a](../adr/0001.md)"),
        ("[a](ci.md)", None, "[a](ci.md)"),
    ],
)
def test_links_of_the_site_that_leave_it_lead_to_the_repository(text: str, repository: str | None, result: str) -> None:
    assert rewritten(text, Path("how-to"), repository) == result
