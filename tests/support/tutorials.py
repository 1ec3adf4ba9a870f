"""Plays a page of docs/tutorials: writes its files, runs its commands in one shell, and compares what it shows."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from berth_dev.paths import REPOSITORY

TUTORIALS = REPOSITORY / "docs" / "tutorials"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# (\S+)\n")
MARK = "\x1e"
"""Stands before each command's exit code in the shell's output."""
VARYING = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "ID"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "COMMIT"),
    (re.compile(r"\bhttps?://\S+\.git\b"), "REPO"),
    (re.compile(r"\b\d+(\.\d+){3}(:\d+)?\b"), "ADDRESS"),
    (re.compile(r"(?<=ssh-ed25519 )[\w+/=]+"), "KEY"),
    (re.compile(r"\b3[0-2]\d{3}\b"), "PORT"),
    (re.compile(r"\bmisty-[12]\b"), "MISTY"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:]+Z"), "TIME"),
    (re.compile(r"\b(\d+[smhd])+\b"), "AGE"),
    (re.compile(r"\b\d+ bytes\b"), "SIZE"),
    (re.compile(r"[ \t]+"), " "),
)
"""Parts of an output that differ from run to run, and their place-holders."""
FLEETING = re.compile(r"build ID: \w+|machine […✓] .*")
"""States of a build, which come beside the lines of its log, and a progress that a terminal overwrites."""


@dataclass
class Step:
    """A file that the page shows, where ``path`` is set, or a command with the lines that it should print."""

    text: str
    path: str = ""
    output: str = ""

    @property
    def fails(self) -> bool:
        """Whether the page shows that it ends with an error."""
        return self.output.startswith("berth: ")


def steps(page: str) -> list[Step]:
    """Return the steps of a page. Blocks of `text` are the output of the command before them."""
    found: list[Step] = []
    for language, block in BLOCK.findall(page):
        if language == "text":
            found[-1].output += block
        elif language == "yaml":
            name = FILE.match(block)
            assert name is not None, f"a file without its name in the first line: {block}"
            found.append(Step(block, path=name[1]))
        else:
            found += _commands(block)
    return found


def _commands(block: str) -> Iterator[Step]:
    step = None
    for line in block.splitlines():
        if line.startswith("$ "):
            if step is not None:
                yield step
            step = Step(line.removeprefix("$ "))
        else:
            assert step is not None, f"an output without a command: {line}"
            step.output += f"{line}\n"
    if step is not None:
        yield step


def normal(output: str) -> list[str]:
    """Return the lines of an output with place-holders for what differs from run to run."""
    lines = []
    for line in output.splitlines():
        text = line.strip()
        for pattern, word in VARYING:
            text = pattern.sub(word, text)
        if text and not FLEETING.fullmatch(text):
            lines.append(text)
    return lines


def play(
    page: str, folder: Path, environment: Mapping[str, str], replaced: Mapping[str, str], seconds: float = 240
) -> None:
    """Play a page in a folder. ``replaced`` has commands that stand in for others; AssertionError where it errs."""
    wanted = steps((TUTORIALS / page).read_text(encoding="utf-8"))
    missing = set(replaced) - {step.text for step in wanted}
    assert not missing, f"{page} has no {missing}"
    done = subprocess.run(
        ["bash", "-c", script(wanted, replaced)],
        cwd=folder,
        env={**os.environ, "COLUMNS": "200", "TERM": "dumb", "PYTHONUNBUFFERED": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )
    commands = [step for step in wanted if not step.path]
    pieces = done.stdout.split(MARK)
    assert len(pieces) == len(commands) + 1, done.stdout
    output = pieces[0]
    for step, piece in zip(commands, pieces[1:], strict=True):
        code, _, rest = piece.partition("\n")
        assert (code != "0") == step.fails, f"$ {step.text}\n{output}exit code {code}\n{done.stdout}"
        if step.text not in replaced:
            assert normal(output) == normal(step.output), f"$ {step.text}\n{output}"
        output = rest


def script(wanted: list[Step], replaced: Mapping[str, str]) -> str:
    """Return the page as a script that prints the mark and the exit code after each command. Pure."""
    lines = []
    for step in wanted:
        if step.path:
            lines.append(f"cat > {step.path} <<'END_OF_FILE'\n{step.text}END_OF_FILE")
        else:
            lines += [replaced.get(step.text, step.text), "printf '\\036%d\\n' $?"]
    return "\n".join(lines) + "\n"
