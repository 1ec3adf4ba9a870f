"""Files of an instance on this machine: its private key and its host keys, by id, for this user alone.

Below `~/.local/share/berth/instances/<id>/` (XDG Base Directory Specification): `key`, where Berth made one; `identity`
with the path of the user's own private key, where one was named; `known_hosts`.
"""

import os
import re
import shutil
from pathlib import Path
from typing import Final

from berth_cli.ui.errors import CliError

KEY: Final = "key"
IDENTITY: Final = "identity"
KNOWN_HOSTS: Final = "known_hosts"
_KEY: Final = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}( [ -~]*)?")
"""A public key in OpenSSH's form, on one line: the API's text could hold more."""
_SAFE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def folder(instance: str) -> Path:
    """Where an instance's files are. Raises CliError for an id that is no name of a folder."""
    if not _SAFE.fullmatch(instance):
        raise CliError(f"the API calls an instance {instance!r}: nothing is kept under such a name")
    base = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(base) / "berth" / "instances" / instance


def keep_key(instance: str, pem: str) -> Path:
    """Keep a private key that Berth made."""
    return _write(instance, KEY, pem)


def keep_identity(instance: str, private: Path) -> None:
    """Remember which private key of the user's own opens an instance."""
    _write(instance, IDENTITY, f"{private.absolute()}\n")


def keep_known_hosts(instance: str, host_keys: list[str]) -> Path:
    """Keep the host keys from the API, under a name of the instance that does not depend on its address."""
    fitting = (key for key in host_keys if _KEY.fullmatch(key))
    return _write(instance, KNOWN_HOSTS, "".join(f"{alias(instance)} {key}\n" for key in fitting))


def alias(instance: str) -> str:
    """Name of an instance in its known_hosts file."""
    return f"berth-{instance}"


def key(instance: str) -> Path | None:
    """The private key that Berth made, where it is kept here."""
    path = folder(instance) / KEY
    return path if path.is_file() else None


def identity(instance: str) -> Path | None:
    """The user's own private key, where one was named for this instance and still exists."""
    try:
        path = Path((folder(instance) / IDENTITY).read_text(encoding="utf-8").removesuffix("\n"))
    except FileNotFoundError:
        return None
    return path if path.is_file() else None


def forget(instance: str) -> None:
    """Remove an instance's files, whose keys open nothing any more."""
    shutil.rmtree(folder(instance), ignore_errors=True)


def _write(instance: str, name: str, text: str) -> Path:
    """Write a file for this user alone, whole or not at all."""
    where = folder(instance)
    try:
        where.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = where / f".{name}.{os.getpid()}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        draft.replace(where / name)
    except OSError as error:
        raise CliError(f"{where / name} cannot be written: {error}: set XDG_DATA_HOME to a folder of yours") from error
    return where / name
