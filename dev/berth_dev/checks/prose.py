"""How sentences read: docstrings, comments and Markdown, by the rules of CONTRIBUTING.md, "Sentences"."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY

SUBJECT: Final = re.compile(r"(?:^|(?<=[.!?:;] ))(Who|What|Whoever|Whose|Whom|Those)\b(?![^.!?]*\?)", re.MULTILINE)
"""A sentence that begins with a relative clause; a question may."""
PRONOUN: Final = re.compile(r"\b([Hh]e|[Hh]is|[Hh]im|[Hh]imself)\b")
CODE: Final = re.compile(r"`[^`\n]*`|^```.*?^```", re.MULTILINE | re.DOTALL)
LEFT_OUT: Final = (
    "CHANGELOG.md",
    "docs/reference/api.md",
    "docs/reference/cli.md",
    "docs/explanation/mutants.md",
)
"""Pages of earlier versions, and pages written from code that is checked itself."""


def check(repository: Path = REPOSITORY) -> None:
    """Raise ClusterError that names each sentence."""
    found = [f"{name}:{line}: {why}" for name in _names(repository) for line, why in complaints(repository / name)]
    if found:
        raise ClusterError("sentences that do not read well:\n" + "\n".join(found))


def complaints(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line of each bad sentence, and what is wrong with it."""
    source = path.read_text(encoding="utf-8")
    for line, text in _python(source) if path.suffix == ".py" else _markdown(source):
        plain = CODE.sub(lambda code: "\n" * code[0].count("\n"), text)
        for bad in SUBJECT.finditer(plain):
            yield line + plain.count("\n", 0, bad.start()), f"begins with {bad[1]}: name the subject"
        for bad in PRONOUN.finditer(plain):
            yield line + plain.count("\n", 0, bad.start()), f"says {bad[1]}: name the user, or say they"


def _names(repository: Path) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md"], cwd=repository, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.split() if name not in LEFT_OUT and (repository / name).is_file()]


def _python(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("# ")


def _markdown(source: str) -> Iterator[tuple[int, str]]:
    # The marks of lists, quotes and tables are no words: a sentence begins after them.
    yield 1, re.sub(r"^[ >*|#0-9.-]+|(?<=\|) +", "", source, flags=re.MULTILINE)
