"""Asking for an instance: the request, and the key that will open it."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from berth_cli.ui.errors import USAGE, CliError
from berth_cli.user.session import escaped, is_id

_TYPE: Final = re.compile(r"[A-Za-z_0-9]+")


@dataclass(frozen=True)
class Wish:
    """A user's wish; ``key`` is a private or a public key file of the user's."""

    targets: tuple[str, ...]
    seconds: int | None = None
    vpn: bool = False
    reserve: bool = False
    key: Path | None = None
    notify: str | None = None
    repo: str | None = None
    """URL of a repository that is cloned into the instance."""
    repo_path: str | None = None


@dataclass(frozen=True)
class Keys:
    """The public key to send, and its private key where it is known."""

    public: str
    private: Path | None


def request(wish: Wish, keys: Keys | None) -> tuple[str, dict[str, Any]]:
    """Return path and body of the request (`POST /new…`). Pure. Raises CliError for an impossible target."""
    _check(wish.targets)
    body: dict[str, Any] = {}
    if keys is not None:
        body["sshkey"] = keys.public
    if wish.seconds is not None:
        body["expire_d"] = wish.seconds
    if wish.notify is not None:
        body["eurl"] = wish.notify
    if wish.repo is not None:
        body["repo"] = {"url": wish.repo} | ({"path": wish.repo_path} if wish.repo_path is not None else {})
    body |= {name: True for name, flag in (("vpn", wish.vpn), ("reserve", wish.reserve)) if flag}
    if len(wish.targets) == 1:
        return f"/new/{escaped(wish.targets[0])}", body
    return "/new", body | {"wds": list(wish.targets)}


def _check(targets: Sequence[str]) -> None:
    """Refuse a target that is no type and no id: a deployment's own name, say, which the API does not know."""
    for target in targets:
        if len(targets) > 1 and not is_id(target):
            raise CliError(f"of several each must be a deployment's id, which {target!r} is not", USAGE)
        if not is_id(target) and not _TYPE.fullmatch(target):
            hint = "`berth types` and `berth search` show what there is"
            raise CliError(f"{target!r} is neither a type nor the id of a deployment: {hint}", USAGE)


def keys_of(path: Path) -> Keys:
    """Read a key file: a public key as it is; for a private key the public half beside it, else from ssh-keygen."""
    path = path.expanduser()
    beside = path if path.suffix == ".pub" else path.with_name(f"{path.name}.pub")
    private = path.with_suffix("") if path.suffix == ".pub" else path
    try:
        if beside != path:
            path.read_bytes()
        if beside.is_file():
            return Keys(_public(beside), private if private.is_file() else None)
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"the key {path} cannot be read: {error}", USAGE) from error
    if beside == path:
        raise CliError(f"there is no key {path}: make one with ssh-keygen, or leave --key out", USAGE)
    words = ["ssh-keygen", "-y", "-f", str(path)]
    try:
        process = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603 (no shell; own file)
    except FileNotFoundError as error:
        raise CliError("there is no ssh-keygen here: give the public key (FILE.pub) to --key", USAGE) from error
    except subprocess.CalledProcessError as error:
        raise CliError(f"{path} is no private key that ssh-keygen reads: {error.stderr.strip()}", USAGE) from error
    return Keys(process.stdout.strip(), path)


def _public(path: Path) -> str:
    text = path.read_text(encoding="utf-8").strip()
    if "PRIVATE KEY" in text:
        raise CliError(f"{path} holds a private key: it was not sent; put the public one there", USAGE)
    return text
