"""A run is known by the product's files, however git has them."""

import subprocess
from pathlib import Path

from product import product


def test_the_hash_is_of_the_files_as_they_are(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t.invalid", *words], cwd=tmp_path, check=True)

    def put(name: str, text: str) -> str:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        return product(tmp_path)

    git("init", "-q")
    first = put("core/one.py", "1")
    second = put("core/two.py", "2")
    git("add", "-A")
    git("commit", "-qm", "both")
    assert first != second == product(tmp_path) == put("tests/one.py", "1")
    assert put("core/one.py", "3") not in (first, second)
    assert put("core/one.py", "1") == second
    (tmp_path / "core/two.py").unlink()
    assert product(tmp_path) == first
