"""Address of the API and token: from the environment and from `~/.config/berth/config.toml`.

    current-context = "lab"

    [contexts.lab]
    api = "https://berth.example.org"
    token-file = "lab.token"      # beside this file; or: token = "…"
    ca-file = "lab-ca.pem"        # for a certificate of a private authority
    insecure = true               # for http:// where the token may cross the network in the clear

A token goes only to its own context's API. `--context` takes precedence over BERTH_API and BERTH_TOKEN, and these over
BERTH_CONTEXT and `current-context`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from berth_cli.ui.errors import NOT_FOUND, USAGE, CliError

TOKEN_VARIABLES: Final = ("BERTH_TOKEN", "REROBOTS_API_TOKEN")
VARIABLES: Final = {
    "BERTH_API": "URL of the API.",
    "BERTH_TOKEN": "Token for that API, or in place of the current context's.",
    "REROBOTS_API_TOKEN": "The same where BERTH_TOKEN is not set.",
    "BERTH_CA_FILE": "File of certificates (PEM) of the authorities that vouch for BERTH_API.",
    "BERTH_CONTEXT": "Context in place of the current one, where BERTH_API is not set.",
    "XDG_CONFIG_HOME": "Folder of `berth/config.toml`; `~/.config` where it is empty.",
    "XDG_DATA_HOME": "Folder of `berth/`, with private keys of instances; `~/.local/share` where it is empty.",
    "KUBECONFIG": "Way to the cluster for administrators' commands; `~/.kube/config` where it is empty.",
    "NO_COLOR": "Any text: no colours.",
    "TERM": "`dumb`: no colours, and no line that moves.",
    "_BERTH_COMPLETE": "Set by the shell's completion.",
}
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CURRENT_LINE: Final = re.compile(r"(?m)^current-context[ \t]*=.*$")


@dataclass(frozen=True)
class Context:
    """One API and how to get in; paths are absolute. ``token`` is never shown."""

    name: str
    api: str
    token: str | None = field(default=None, repr=False)
    token_file: Path | None = None
    ca_file: Path | None = None
    insecure: bool = False
    """The token may go over plain HTTP to anywhere."""


@dataclass(frozen=True)
class Contexts:
    """Contents of a configuration file."""

    current: str | None
    by_name: Mapping[str, Context]


@dataclass(frozen=True)
class Place:
    """Target of requests. ``source`` tells people where it was found."""

    api: str
    token: str | None = field(repr=False)
    source: str
    ca_file: Path | None = None
    insecure: bool = False


def config_path(environment: Mapping[str, str]) -> Path:
    """Path of the file (XDG Base Directory Specification). Pure."""
    base = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME", "~")).expanduser() / ".config")
    return Path(base) / "berth" / "config.toml"


def parse(text: str, path: Path) -> Contexts:
    """Read the file's text. Raises CliError that names what is wrong. Pure."""
    import tomllib

    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CliError(f"{path} is no TOML: {error}", USAGE) from error
    current, contexts = document.get("current-context"), document.get("contexts", {})
    if not isinstance(contexts, dict) or not (current is None or isinstance(current, str)):
        raise CliError(f"{path}: current-context is a name, and contexts are tables [contexts.NAME]", USAGE)
    return Contexts(current, {name: _context(name, table, path) for name, table in contexts.items()})


def _context(name: str, table: Any, path: Path) -> Context:
    words = {"api", "token", "token-file", "ca-file"}
    insecure = table.get("insecure", False) if isinstance(table, dict) else False
    if not isinstance(insecure, bool):
        raise CliError(f"{path}: [contexts.{name}] takes true or false as insecure", USAGE)
    if not isinstance(table, dict) or not all(isinstance(value, str) for key, value in table.items() if key in words):
        raise CliError(f"{path}: [contexts.{name}] takes texts: {', '.join(sorted(words))}", USAGE)
    if unknown := set(table) - words - {"insecure"}:
        keys = sorted(words | {"insecure"})
        raise CliError(f"{path}: [contexts.{name}] has `{min(unknown)}`, which is none of {keys}", USAGE)
    if "api" not in table:
        raise CliError(f'{path}: [contexts.{name}] has no api: write api = "https://…"', USAGE)
    if "token" in table and "token-file" in table:
        raise CliError(f"{path}: [contexts.{name}] has both token and token-file: leave one out", USAGE)
    files = {key: path.parent / Path(table[key]).expanduser() for key in ("token-file", "ca-file") if key in table}
    return Context(name, table["api"], table.get("token"), files.get("token-file"), files.get("ca-file"), insecure)


def choose(option: str | None, environment: Mapping[str, str], file: Contexts, path: Path) -> Context:
    """Choose API and token, with their source. Raises CliError that says how to name one. Pure."""
    api = environment.get("BERTH_API")
    variable = next((name for name in TOKEN_VARIABLES if environment.get(name)), None)
    token = environment[variable] if variable else None
    if option is not None:
        return _context_named(option, file, path)
    name = environment.get("BERTH_CONTEXT") or file.current
    if api:
        ca_file = environment.get("BERTH_CA_FILE")
        return Context(f"BERTH_API{f' and {variable}' if variable else ''}", api, token, None, _path(ca_file))
    if not name:
        raise CliError(
            f"which API? Set BERTH_API and BERTH_TOKEN, or write a context to {path} with `berth config add`", USAGE
        )
    context = _context_named(name, file, path)
    if token is not None:
        return Context(f"{context.name} with {variable}", context.api, token, None, context.ca_file, context.insecure)
    return context


def with_current(text: str, name: str) -> str:
    r"""Return the file's text with another current context; all else stays unchanged. Pure.

    >>> with_current("[contexts.lab]", "lab")
    'current-context = "lab"\n\n[contexts.lab]'
    """
    line = f'current-context = "{name}"'
    if _CURRENT_LINE.search(text):
        return _CURRENT_LINE.sub(line, text, count=1)
    return f"{line}\n\n{text}" if text else f"{line}\n"


def table(context: Context) -> str:
    """Return a context as a table of the file. Pure."""
    parts = {"api": context.api, "token": context.token, "token-file": context.token_file, "ca-file": context.ca_file}
    lines = [f"{key} = {quoted(str(value))}" for key, value in parts.items() if value is not None]
    lines += ["insecure = true"] if context.insecure else []
    return "\n".join([f"[contexts.{context.name}]", *lines, ""])


def quoted(text: str) -> str:
    """Return a text as a TOML basic string. Pure."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in escaped) + '"'


def _context_named(name: str, file: Contexts, path: Path) -> Context:
    if name not in file.by_name:
        there = ", ".join(file.by_name) or "none"
        raise CliError(f"there is no context {name} in {path} (there: {there}): `berth config add {name}`", NOT_FOUND)
    return file.by_name[name]


def _path(text: str | None) -> Path | None:
    return Path(text).expanduser() if text else None


def load(environment: Mapping[str, str] = os.environ) -> tuple[Contexts, Path]:
    """Read the file; a missing one counts as empty."""
    path = config_path(environment)
    try:
        return parse(path.read_text(encoding="utf-8"), path), path
    except FileNotFoundError:
        return Contexts(None, {}), path
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{path} cannot be read: {error}", USAGE) from error


def place(option: str | None, environment: Mapping[str, str] = os.environ) -> Place:
    """Find the target of requests, and read the token."""
    file, path = load(environment)
    context = choose(option, environment, file, path)
    token = context.token
    if context.token_file is not None:
        try:
            token = context.token_file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CliError(f"the token of context {context.name} cannot be read: {error}", USAGE) from error
    token = token.strip() if token else None
    if token is not None and not (token.isascii() and token.isprintable()):
        raise CliError(f"the token of context {context.name} is not one line of ASCII: write it again", USAGE)
    return Place(context.api.rstrip("/"), token, context.name, context.ca_file, context.insecure)


def readable_by_others(context: Context, path: Path) -> Path | None:
    """Return the file that shows a context's token to other users of this machine, None where none does."""
    holder = context.token_file or (path if context.token else None)
    try:
        return holder if holder is not None and holder.stat().st_mode & 0o077 else None
    except FileNotFoundError:
        return None
