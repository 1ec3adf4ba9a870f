"""Passwords: read without echo or from a pipe, checked, and hashed with argon2id (RFC 9106)."""

import getpass
import sys

from berth_cli.ui.errors import USAGE, CliError

LEAST_CHARACTERS = 12
MOST_BYTES = 1024
_TOO_LONG = f"a password has at most {MOST_BYTES} bytes: take a shorter one"


def ask(user: str, *, from_stdin: bool) -> str:
    """Read a new password, twice on a terminal. Raises CliError (wrong usage) for an unsuitable one."""
    password = _piped() if from_stdin else _typed(user)
    try:
        check(password)
    except ValueError as error:
        raise CliError(str(error), USAGE) from error
    return password


def check(password: str) -> None:
    """Raise ValueError for an unsuitable password. Pure."""
    if len(password) < LEAST_CHARACTERS:
        raise ValueError(f"a password has at least {LEAST_CHARACTERS} characters: take a longer one")
    if not password.isprintable():
        raise ValueError("a password has no control characters and is one line: take another one")
    if len(password.encode()) > MOST_BYTES:
        raise ValueError(_TOO_LONG)


def hashed(password: str) -> str:
    """Return the argon2id hash with its parameters (RFC 9106, section 4, the set for little memory) and a new salt."""
    from argon2 import PasswordHasher

    return PasswordHasher().hash(password)


def _piped() -> str:
    """Standard input without its last line feed; no more is read than needed to tell that it is too long."""
    data = sys.stdin.buffer.read(MOST_BYTES + 3)
    data = data.removesuffix(b"\n").removesuffix(b"\r")
    if len(data) > MOST_BYTES:
        raise CliError(_TOO_LONG, USAGE)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise CliError("the password on standard input is not UTF-8: write it as UTF-8", USAGE) from error


def _typed(user: str) -> str:
    if not sys.stdin.isatty():
        raise CliError("there is no terminal to type a password on: pipe it, with --password-stdin", USAGE)
    try:
        first = getpass.getpass(f"New password of {user}: ")
        again = getpass.getpass("The same again: ")
    except EOFError as error:
        raise CliError("no password was typed: repeat the command", USAGE) from error
    if first != again:
        raise CliError("the two passwords differ: repeat the command", USAGE)
    return first
