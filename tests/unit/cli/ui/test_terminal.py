"""Texts of others on a terminal: `berth` runs in a real one, against an API that answers what it should not."""

import io
import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from berth_cli.ui.terminal import Terminal, guard, visible
from berth_cli.user import completion

TOOL = str(Path(sys.executable).with_name("berth"))
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202eback\rover"
SURROGATE = "\udc9b31m\u2028\u2029\ue000owned"
"""JSON may hold it: where bytes escape as surrogates it would become the byte 0x9b, which begins an order too."""
LOG = f"first\tline\r\n{EVIL}\n\x00\xe9 last".encode() + b"\xff\n"
WORDS = ["arm_1", "$(touch owned)", "`touch owned`", "a b", "'; touch owned; '", 7, None, "-x", ""]
BUILD = {"id": "b-1", "status": "passed", "attempt": 1, "pid": "arm"}


class Hostile(BaseHTTPRequestHandler):
    """Answers with control characters wherever a text is."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/log") and "follow" in self.path:
            body = f"data: {EVIL.replace(chr(13), '')}\n\nevent: end\ndata: passed\n\n".encode()
        elif path.endswith("/log"):
            body = LOG
        elif path.endswith("/job"):
            body = json.dumps({"jobs": [BUILD | {"branch": SURROGATE}]}).encode()
        elif path.endswith(("/workspaces", "/instances")):
            body = json.dumps({"workspace_types": WORDS, "workspace_instances": WORDS}).encode()
        else:
            body = json.dumps({"error_message": EVIL + SURROGATE}).encode()
        self.send_response(200 if path.startswith(("/ci", "/workspaces", "/instances")) else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[dict[str, str]]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        kept = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "LC_ALL": "C.UTF-8",
            "TERM": "xterm",
            "NO_COLOR": "1",
        }
        try:
            yield kept | {"BERTH_API": f"http://127.0.0.1:{made.server_port}", "BERTH_TOKEN": "t"}
        finally:
            made.shutdown()
            thread.join()


def on_terminal(environment: dict[str, str], *words: str) -> str:
    """Output of `berth WORDS` to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([TOOL, *words], env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        written = bytearray()
        try:
            while part := os.read(ours, 65536):
                written += part
        except OSError:
            pass  # the other end is closed: that is how a terminal ends
        assert process.wait() in (0, 1)
    os.close(ours)
    return written.decode()  # what is no UTF-8 would be a byte that nobody encoded


def piped(environment: dict[str, str], *words: str) -> bytes:
    """Output of `berth WORDS` into a pipe."""
    return subprocess.run([TOOL, *words], env=environment, capture_output=True, check=True).stdout


def controls(text: str) -> set[str]:
    """Characters that a terminal would obey, but for the ends of lines as it gets them."""
    return {char for char in text.replace("\r\n", "\n") if not char.isprintable()} - {"\n", "\t"}


@pytest.mark.parametrize("locale", ["C", "C.UTF-8", "POSIX"])
@pytest.mark.parametrize(
    "words",
    [("queue",), ("ci", "list", "-p", "arm"), ("ci", "logs", "-p", "arm"), ("ci", "logs", "-p", "arm", "--follow")],
    ids=" ".join,
)
def test_a_terminal_is_not_moved_by_what_others_wrote(
    words: tuple[str, ...], environment: dict[str, str], locale: str
) -> None:
    shown = on_terminal(environment | {"LC_ALL": locale}, *words)
    assert "owned" in shown
    assert controls(shown) == set()


def test_files_and_pipes_get_logs_unchanged(environment: dict[str, str]) -> None:
    assert piped(environment, "ci", "logs", "-p", "arm") == LOG
    assert piped(environment, "ci", "logs", "-p", "arm", "--follow") == f"{EVIL.replace(chr(13), '')}\n".encode()


def test_lines_tabs_and_letters_stay_as_they_are() -> None:
    assert visible("eins\tzwei\r\nöäü 机器人\n") == "eins\tzwei\nöäü 机器人\n"
    assert visible(EVIL) == "?]0;owned??[2J?31m?back?over"
    assert visible(SURROGATE) == "?31m???owned"


def test_a_byte_that_was_no_text_becomes_no_byte_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with open(theirs, "wb", buffering=0) as end:
        stream = io.TextIOWrapper(io.BufferedWriter(end), "utf-8", "surrogateescape")
        monkeypatch.setattr("sys.stdout", stream)
        guard()
        assert isinstance(sys.stdout, Terminal)
        sys.stdout.style("\udc9b\n")
        assert os.read(ours, 64) == b"\\udc9b\r\n"
        monkeypatch.undo()
    os.close(ours)


def test_a_shell_completes_nothing_that_it_could_run(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert completion.types("") == completion.instances("") == ["arm_1"]
    assert completion.types("x") == []


def test_our_own_colours_reach_the_terminal() -> None:
    stream = Terminal(buffer := io.BytesIO(), "utf-8")
    stream.style("\x1b[1mbold\x1b[0m\n")
    stream.flush()
    assert buffer.getvalue() == b"\x1b[1mbold\x1b[0m\n"
