"""Sentences that lint refuses, and those that it lets pass."""

from pathlib import Path

import pytest

from berth_dev.checks.prose import complaints

WORDS = "word " * 20


@pytest.mark.parametrize(
    ("name", "text", "lines"),
    [
        ("a.py", '"""Who leads writes."""\n', [1]),
        ("a.py", '"""Who leads?"""\n', []),
        ("a.py", '"""Leads.\n\nIt waits. What is left goes.\n"""\n', [3]),
        ("a.py", "x = 1  # what stays\n# Those stay.\n", [2]),
        ("a.py", '"""Ends the lease of a user, and his keys."""\n', [1]),
        ("a.py", 'raise ValueError("what follows is no key")\n', [1]),
        ("a.py", 'raise ValueError("key?", "what follows")\n', []),
        ("a.py", 'log.info(f"{n} keys: " f"those of {user} stay")\n', [1]),
        ("a.py", 'f(help="Which one? What is it?", message=f"{user} lost his keys")\n', [1]),
        ("a.py", f'"""Leads.\n\n{WORDS}{WORDS}."""\n', [3]),
        ("a.py", f'"""Leads: {WORDS}.\n{WORDS}."""\n', []),
        ("a.py", f"x = 1\n# {WORDS}\n# {WORDS}\n", [2]),
        ("a.py", f"x = 1  # {WORDS}\ny = 1  # {WORDS}\n", []),
        ("a.md", f"# Title\n\n- {WORDS}\n- {WORDS}\n\n{WORDS}{WORDS}\n", [6]),
        ("a.md", f"| {WORDS} | {WORDS} |\n", []),
        ("a.yaml", "# Those stay.\na: 1  # his keys\n", [1, 2]),
        ("a.py", '"""Returns `What` as it is."""\n', []),
        ("a.md", "# Title\n\n| Whoever asks | `he` |\n|---|---|\n| a | b |\n", [3]),
        ("a.md", "```\nWho knows\n```\n- Whose turn is it?\n- Whose turn it is.\n", [5]),
    ],
)
def test_each_bad_sentence_is_named_by_its_line(tmp_path: Path, name: str, text: str, lines: list[int]) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert [line for line, _ in complaints(path)] == lines
