"""A person's desk: a home of their own and the command `berth`, also in a terminal (tmux) whose screen is read."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import Person

SECONDS = 120.0
PROMPT = "desk>"


@dataclass(frozen=True)
class Desk:
    """A person at a desk; ``home`` is the person's alone, and exists."""

    person: Person
    home: Path

    @property
    def environment(self) -> dict[str, str]:
        """Environment as after a login, with the API's URL and the person's token."""
        lab = self.person.lab
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("BERTH_", "XDG_", "TMUX"))}
        return kept | {
            "HOME": str(self.home),
            "PATH": f"{lab.berth_program.parent}:{os.environ['PATH']}",
            "BERTH_API": lab.apis[self.person.api],
            "BERTH_TOKEN": self.person.token,
            "TMUX_TMPDIR": str(self.home),
            "LC_ALL": "C.UTF-8",
        }

    def types(self, *words: str, deadline: float = SECONDS) -> subprocess.CompletedProcess[str]:
        """Run `berth WORDS` without a terminal, to its end."""
        return subprocess.run(
            self.person.inside(["berth", *words]),
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
        )

    def prints(self, *words: str) -> str:
        """Run `berth WORDS` that must succeed; what it printed."""
        done = self.types(*words)
        assert done.returncode == 0, f"berth {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    @contextmanager
    def begins(self, *words: str) -> Iterator["subprocess.Popen[str]"]:
        """Run `berth WORDS` beside the test, until the block ends."""
        with subprocess.Popen(
            self.person.inside(["berth", *words]),
            env=self.environment,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def terminal(self) -> Iterator["Terminal"]:
        """Open a shell in a terminal of 110 columns and 30 lines."""
        terminal = Terminal(self)
        terminal.tmux("new-session", "-d", "-x", "110", "-y", "30", "-c", str(self.home), "sh")
        try:
            terminal.types(f"PS1='{PROMPT} '; clear")
            yield terminal
        finally:
            terminal.tmux("kill-server")


@dataclass(frozen=True)
class Terminal:
    """A terminal, and what its screen shows."""

    desk: Desk

    def tmux(self, *words: str) -> str:
        """Give tmux a command; what it printed."""
        command = self.desk.person.inside(["tmux", "-f", "/dev/null", *words])
        done = subprocess.run(command, env=self.desk.environment, capture_output=True, text=True, check=True)
        return done.stdout

    def runs(self, line: str, seconds: float = SECONDS) -> None:
        """Wait for the shell's prompt, and type a line there."""
        until = time.monotonic() + seconds
        while not (screen := self.screen()).rstrip().endswith(PROMPT):
            assert time.monotonic() < until, f"the prompt never came:\n{screen}"
        self.types(line)

    def types(self, line: str) -> None:
        """Type a line and press Enter, whatever reads it."""
        self.tmux("send-keys", "-l", line)
        self.tmux("send-keys", "Enter")

    def presses(self, key: str) -> None:
        """Press a key, such as C-c."""
        self.tmux("send-keys", key)

    def screen(self) -> str:
        """Return what is on the screen."""
        return self.tmux("capture-pane", "-p", "-J")

    def colours(self) -> str:
        """Return the same with escape sequences."""
        return self.tmux("capture-pane", "-p", "-J", "-e")

    def shows(self, text: str, seconds: float = SECONDS) -> str:
        """Look until a text is on the screen."""
        until = time.monotonic() + seconds
        while text not in (screen := self.screen()):
            assert time.monotonic() < until, f"the screen never showed {text!r}:\n{screen}"
        return screen
