"""Running programs: output captured, failures as one line."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from berth_dev.errors import ClusterError

LAST_WORDS = 4


def run(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
    check: bool = True,
    timeout: float | None = 600,
) -> subprocess.CompletedProcess[str]:
    """Run `command` with `env` added to ours and its output captured as text.

    Raises ClusterError with the program's last words where it fails and `check` is set, or
    where the program is missing or takes longer than `timeout` seconds.
    """
    words = [str(word) for word in command]
    try:
        process = subprocess.run(
            words,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            input=stdin if stdin is not None else "",
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=timeout,
        )
    except FileNotFoundError as missing:
        raise ClusterError(f"{words[0]} is not installed: run `python -m berth_dev packages`") from missing
    except subprocess.TimeoutExpired as late:
        raise ClusterError(f"`{' '.join(words[:6])}` took longer than {timeout:g} s") from late
    if check and process.returncode != 0:
        raise ClusterError(f"`{' '.join(words[:6])}` failed ({process.returncode}): {last_words(process)}")
    return process


def last_words(process: subprocess.CompletedProcess[str]) -> str:
    """The last lines of a program's output, on one line."""
    words = (process.stderr or "").strip() or (process.stdout or "").strip()
    return " / ".join(line.strip() for line in words.splitlines()[-LAST_WORDS:])
