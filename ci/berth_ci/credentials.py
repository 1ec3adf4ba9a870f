"""How git opens a repository that is not for everyone: from a mounted Secret, never on a command line or in a log."""

import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from berth_ci.failures import Failure
from berth_ci.places import CREDENTIALS, SCRATCH

UNFIT: Final = "CredentialsUnfit"
SECONDS: Final = 20
"""Time for a connection."""
_URL: Final = "BERTH_TOKEN_FOR"
"""Variable with the only URL that the token is for."""


def environment(url: str, scratch: Path = SCRATCH) -> dict[str, str]:
    """Write git's settings for a repository and return the environment in which they count. Raises Failure."""
    settings = ["[protocol]", "allow = never"]
    for scheme in ("http", "https", "ssh", "git"):
        settings += [f'[protocol "{scheme}"]', "allow = always"]
    settings += ["[core]", "hooksPath = /dev/null", "[safe]", "directory = *", "[advice]", "detachedHead = false"]
    settings += ["[init]", "defaultBranch = berth", "[gc]", "auto = 0"]
    settings += ["[http]", "lowSpeedLimit = 1000", "lowSpeedTime = 60"]
    settings += _https(url)
    path = scratch / "gitconfig"
    path.write_text("\n".join(settings) + "\n", encoding="utf-8")
    return {
        "GIT_CONFIG_GLOBAL": str(path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_SSH_COMMAND": _ssh(),
        "GIT_SSH_VARIANT": "ssh",
        _URL: url,
        "LC_ALL": "C.UTF-8",
        "HOME": str(scratch),
    }


def tell() -> None:
    """Answer git, which asks by its protocol for credential helpers (gitcredentials(7)); only `get` is answered.

    Submodules may name any URL: git is told the token where it asks for the Project's own repository, and nothing else.
    """
    if sys.argv[-1] == "get" and _is_own(sys.stdin, os.environ[_URL]):
        for field in ("username", "password"):
            sys.stdout.write(f"{field}={_secret(field)}\n")


def _is_own(lines: Iterable[str], url: str) -> bool:
    """Whether git asks for a repository under one of both spellings; a redirect may lead to the other."""
    request = dict(line.rstrip("\n").partition("=")[::2] for line in lines)
    parts = urlsplit(url)
    place = (parts.scheme, parts.netloc.rpartition("@")[2].lower())
    path = _path(url)
    # Git has decoded the path, and its slashes at both ends are gone.
    return (request.get("protocol"), request.get("host", "").lower()) == place and request.get("path") in (
        path,
        f"{path}.git",
    )


def _path(url: str) -> str:
    """Path of a repository, without `.git`. Raises Failure where it names none, or others than it seems to."""
    path = unquote(urlsplit(url).path).strip("/").removesuffix(".git")
    if not path or {".", ".."} & set(path.split("/")):
        raise Failure(UNFIT, "a token is for one repository: use a URL whose path names it, without `..`")
    return path


def _https(url: str) -> list[str]:
    """Let git ask for the token."""
    parts = urlsplit(url)
    settings: list[str] = []
    if (CREDENTIALS / "password").exists():
        if parts.scheme != "https":
            raise Failure(UNFIT, "a token is sent over https only: use an https URL, or an ssh URL and a deploy key")
        _path(url)
        settings += ["[credential]", "useHttpPath = true", 'helper = "!python3 -m berth_ci credential"']
    if (CREDENTIALS / "ca.crt").exists():
        origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        settings += [f'[http "{origin}"]', f"sslCAInfo = {CREDENTIALS / 'ca.crt'}"]
    return settings


def _ssh() -> str:
    """Return ssh with the deploy key: it trusts the Secret's known_hosts and nothing else."""
    words = ["ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={SECONDS}"]
    words += ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={CREDENTIALS / 'known_hosts'}"]
    words += ["-o", "GlobalKnownHostsFile=/dev/null", "-o", "IdentitiesOnly=yes"]
    if (CREDENTIALS / "ssh-privatekey").exists():
        words += ["-i", str(_private_copy(CREDENTIALS / "ssh-privatekey"))]
    return " ".join(words)


def _private_copy(key: Path) -> Path:
    """Ssh refuses a key that others could read, and one without a final newline."""
    copy = SCRATCH / "deploy-key"
    copy.touch(mode=0o600)
    with copy.open("wb") as file, key.open("rb") as source:
        shutil.copyfileobj(source, file)
        file.write(b"\n")
    return copy


def _secret(field: str) -> str:
    text = (CREDENTIALS / field).read_text(encoding="utf-8").strip() if (CREDENTIALS / field).exists() else ""
    if "\n" in text or "\0" in text:
        raise Failure(UNFIT, f"`{field}` of the credentials must be one line")
    return text or "git"
