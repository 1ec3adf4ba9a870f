"""Tells who is logged in what the lease's notice says when it changes; who logs in later reads it as /etc/motd.

Runs beside sshd, in a fork of the entrypoint. The file is renamed over, so it is opened anew each time. Standard
library only.
"""

import contextlib
import os
import time

NOTICE = "/run/berth/notice"
TERMINALS = "/dev/pts"
EVERY_SECONDS = 2.0


def main() -> None:
    """Look at the notice for as long as the workspace runs."""
    shown = read(NOTICE)
    while True:
        time.sleep(EVERY_SECONDS)
        shown = look(shown, NOTICE, TERMINALS)


def look(shown: str, notice: str, terminals: str) -> str:
    """Read the notice and tell it where it is not what was shown last; the text as it is now."""
    text = read(notice)
    if text and text != shown:
        tell(text, terminals)
    return text


def tell(text: str, terminals: str) -> None:
    """Write a text to every terminal. One that takes nothing, or is gone meanwhile, is passed over."""
    lines = "".join(f"\r\n{line}" for line in text.splitlines())
    for name in os.listdir(terminals):
        if name.isdigit():
            with contextlib.suppress(OSError):
                handle = os.open(os.path.join(terminals, name), os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK)
                try:
                    os.write(handle, f"\a{lines}\r\n".encode())
                finally:
                    os.close(handle)


def read(path: str) -> str:
    """Text of the notice; empty where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""
