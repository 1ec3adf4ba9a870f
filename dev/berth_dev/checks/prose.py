"""How sentences read: docstrings, comments, messages and Markdown, by the rules of CONTRIBUTING.md, "Sentences"."""

import ast
import io
import re
import subprocess
import tokenize
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY

MOST_WORDS: Final = 30
SUBJECT: Final = re.compile(r"[*_\"'(]*(Who|What|Whoever|Whose|Whom|Those|That which)\b(?![^.!?]*\?)")
"""A sentence that begins with a relative clause; a question may."""
MESSAGE_SUBJECT: Final = re.compile(SUBJECT.pattern, re.IGNORECASE)
PRONOUN: Final = re.compile(r"\b([Hh]e|[Hh]is|[Hh]im|[Hh]imself)\b")
WORD: Final = re.compile(r"[^\s\w]*\w\S*")
CODE: Final = re.compile(r"^ *```.*?^ *```|``[^`]*``|`[^`\n]*`", re.MULTILINE | re.DOTALL)
BREAK: Final = re.compile(
    r"(?<=[.!?:;])[\"')*_]*\s+"  # behind a sentence, or a clause that stands by itself
    r"|\n[ >]*\n\s*"  # between paragraphs
    r"|^[ >]*(?:[-*#>]+|\d+\.) +"  # before a list's entry, and a heading
    r"|\s*\|\s*",  # between cells of a table
    re.MULTILINE,
)
COMMENT: Final = re.compile(r"(?:(?<=\s)|^)#")
NAMES: Final = ("*.py", "*.md", "*.yaml", "*.yml", "*Containerfile", "Makefile")
LEFT_OUT: Final = (
    "CHANGELOG.md",
    "docs/reference/api.md",
    "docs/reference/cli.md",
    "docs/explanation/mutants.md",
    "tests/unit/local/test_prose.py",
)
"""Pages of earlier versions, pages written from code that is checked itself, and samples of bad sentences."""


class Text(NamedTuple):
    """Sentences, and the line that they begin at. A message may begin with a small letter."""

    line: int
    text: str
    message: bool = False


def check(repository: Path = REPOSITORY) -> None:
    """Raise ClusterError that names each sentence."""
    names = _names(repository)
    with ProcessPoolExecutor() as pool:
        found = pool.map(_complaints, (repository / name for name in names), chunksize=50)
        bad = [f"{name}:{line}: {why}" for name, some in zip(names, found, strict=True) for line, why in some]
    if bad:
        raise ClusterError("sentences that do not read well:\n" + "\n".join(bad))


def complaints(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line of each bad sentence, and what is wrong with it."""
    source = path.read_text(encoding="utf-8")
    texts = {".py": _python, ".md": _markdown}.get(path.suffix, _comments)
    for text in texts(source):
        for line, sentence in _sentences(text):
            if bad := (MESSAGE_SUBJECT if text.message else SUBJECT).match(sentence):
                yield line, f"begins with {bad[1]}: name the subject"
            for bad in PRONOUN.finditer(sentence):
                yield line + sentence.count("\n", 0, bad.start()), f"says {bad[1]}: name the user, or say they"
            if not text.message and (count := len(WORD.findall(sentence))) > MOST_WORDS:
                yield line, f"has {count} words: make two sentences of it, of {MOST_WORDS} words at most"


def _complaints(path: Path) -> list[tuple[int, str]]:
    return list(complaints(path))


def _names(repository: Path) -> list[str]:
    process = subprocess.run(["git", "ls-files", *NAMES], cwd=repository, capture_output=True, text=True, check=True)
    return [name for name in process.stdout.split() if name not in LEFT_OUT and (repository / name).is_file()]


def _sentences(text: Text) -> Iterator[tuple[int, str]]:
    """Yield the line and the words of each sentence; code in it counts as a word."""
    plain = CODE.sub(lambda code: ("" if "```" in code[0] else "code") + "\n" * code[0].count("\n"), text.text)
    start = 0
    for end in [*((mark.start(), mark.end()) for mark in BREAK.finditer(plain)), (len(plain), 0)]:
        yield text.line + plain.count("\n", 0, start), plain[start : end[0]]
        start = end[1]


def _python(source: str) -> Iterator[Text]:
    parts: set[ast.AST] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str(text))):
                yield Text(node.lineno, text)
                parts.add(node.value)
            case ast.JoinedStr():
                parts.update(node.values)
                words = [part.value if isinstance(part, ast.Constant) else "{}" for part in node.values]
                yield from _message(node.lineno, "".join(map(str, words)))
            case ast.Constant(value=str(text)) if node not in parts:
                yield from _message(node.lineno, text)
    if "#" not in source:
        return
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    yield from _blocks((*token.start, token.line) for token in tokens if token.type == tokenize.COMMENT)


def _message(line: int, text: str) -> Iterator[Text]:
    # Shorter texts are names and values.
    if text.count(" ") > 1:
        yield Text(line, text, message=True)


def _comments(source: str) -> Iterator[Text]:
    lines = enumerate(source.split("\n"), 1)
    yield from _blocks((number, mark.start(), line) for number, line in lines if (mark := COMMENT.search(line)))


def _blocks(comments: Iterable[tuple[int, int, str]]) -> Iterator[Text]:
    """Join comments (line, column, the whole line) below each other, but those behind code."""
    block: list[str] = []
    first, below = 0, (0, 0)
    for number, column, line in comments:
        if (number, column) != below or line[:column].strip():
            yield Text(first, "\n".join(block))
            block, first = [], number
        block.append(line[column:].strip("#\n "))
        below = number + 1, column
    yield Text(first, "\n".join(block))


def _markdown(source: str) -> Iterator[Text]:
    yield Text(1, source)
