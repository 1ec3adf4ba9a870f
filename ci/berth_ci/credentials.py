"""How git opens a repository that is not for everyone: from a mounted Secret, never on a command line or in a log."""

import shutil
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from berth_ci.failures import Failure
from berth_ci.places import CREDENTIALS, SCRATCH

UNFIT: Final = "CredentialsUnfit"
SECONDS: Final = 20
"""Time for a connection."""


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
        "LC_ALL": "C.UTF-8",
        "HOME": str(scratch),
    }


def tell() -> None:
    """Answer git, which asks by its protocol for credential helpers (gitcredentials(7)); only `get` is answered."""
    if sys.argv[-1] == "get":
        for field in ("username", "password"):
            sys.stdout.write(f"{field}={_secret(field)}\n")


def _https(url: str) -> list[str]:
    """Let git ask for the token of this repository only: submodules at the same host are fetched without."""
    parts = urlsplit(url)
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    settings: list[str] = []
    if (CREDENTIALS / "password").exists():
        if parts.scheme != "https":
            raise Failure(UNFIT, "a token is sent over https only: use an https URL, or an ssh URL and a deploy key")
        settings += ["[credential]", "useHttpPath = true"]
        for path in _spellings(parts.path):
            settings += [f'[credential "{origin}{path}"]', 'helper = "!python3 -m berth_ci credential"']
    if (CREDENTIALS / "ca.crt").exists():
        settings += [f'[http "{origin}"]', f"sslCAInfo = {CREDENTIALS / 'ca.crt'}"]
    return settings


def _spellings(path: str) -> tuple[str, str]:
    """Paths by which a server knows the repository, quoted for git's settings; a redirect may lead to the other."""
    plain = path.rstrip("/").removesuffix(".git").replace("\\", "\\\\").replace('"', '\\"')
    return plain, f"{plain}.git"


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
