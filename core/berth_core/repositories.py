"""Repositories that may be cloned into workspaces, and the folders of the clones (ADR 0020). Pure.

The API and the resources check with the same expressions, which RE2 (CEL) and Python read alike. The operator shows
other obstacles as a condition.
"""

import posixpath
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from berth_core import hosts
from berth_core.firewall.special import Address

HOME: Final = "/root"
"""Base of relative paths: the holder's home."""
LONGEST_URL: Final = 2048
LONGEST_PATH: Final = 255

_SEGMENT: Final = "[A-Za-z0-9._+~@-]+"
URL: Final = r'^(https?|git)://[A-Za-z0-9._:\[\]-]+(/[!"$->@-~]*)?$'
"""No user, password or query: credentials of a repository must not get into resources, events and logs."""
PROJECT_URL: Final = r'^((https?|git)://|ssh://([A-Za-z0-9_.-]+@)?)[A-Za-z0-9._:\[\]-]+(/[!"$->@-~]*)?$'
"""The same with ssh, and a user's name for that only: elsewhere it would be a token."""
STATUS_URL: Final = r"^https?://[^/@?]+(/[^?]*)?$"
PATH: Final = f"^/?{_SEGMENT}(/{_SEGMENT})*/?$"
NEVER: Final = r"(^|/)\.\.?(/|$)|^/(bin|boot|dev|etc|lib(32|64|x32)?|proc|root/?$|run|sbin|sys|usr|var)(/|$)"
"""Paths with ``.`` or ``..``, and folders that the system or Berth needs."""

URL_WANTED: Final = (
    "takes an https, http or git URL without user, password or query, since only what everyone may read is cloned: for"
    " others leave it out and clone inside, with your own credentials"
)
PROJECT_URL_WANTED: Final = (
    "takes an https, http, git or ssh URL without password or query, and with a user for ssh only, since it is shown to"
    " everybody who sees the Project: put what opens the repository into the Secret of `credentials`"
)
STATUS_URL_WANTED: Final = (
    "takes an http or https URL without user, password or query, since it is shown to everybody who sees the Project:"
    " put what opens the receiver into the Secret of `commitStatus.secret`"
)
PATH_WANTED: Final = (
    f"takes a path of up to {LONGEST_PATH} letters, digits and ._+~@-/, without `..`: below {HOME}, where relative ones"
    " are, or absolute, and not in what the system needs (such as /etc, /run, /usr or /var)"
)
HOST_WANTED: Final = "takes a host's name, or an address as it is usually written"
NAME_WANTED: Final = "ends with no name that a folder could have: say in `path` where to put it"


def place(url: str, path: str | None) -> str:
    """Absolute path of the clone in the workspace. Raises ValueError, which names the wrong one of both."""
    if len(url) > LONGEST_URL or not re.fullmatch(URL, url):
        raise ValueError(f"`url` {URL_WANTED}")
    try:
        address(url)
    except ValueError as error:
        raise ValueError(f"`url` {HOST_WANTED}") from error
    if path is None:
        name = _name(url)
        if not name:
            raise ValueError(f"`url` {NAME_WANTED}")
        return f"{HOME}/{name}"
    if len(path) > LONGEST_PATH or not re.fullmatch(PATH, path) or re.search(NEVER, path):
        raise ValueError(f"`path` {PATH_WANTED}")
    return posixpath.join(HOME, path).rstrip("/")


def address(url: str) -> Address | None:
    """Address of a repository's host; None where the host is a name. Raises ValueError for a host that is neither."""
    return hosts.address_of(urlsplit(url).hostname or "")


def obstacle(path: str, volumes: Iterable[str]) -> str:
    """First of a type's volumes (paths in the workspace) that overlaps with a clone there; empty where none does."""
    for volume in volumes:
        if _is_within(path, volume) or _is_within(volume, path):
            return volume
    return ""


def taken(path: str, volume: str) -> str:
    """Message for a path that overlaps with a volume."""
    return f"{path} is in the way of the type's volume at {volume}: choose another `path`"


def _name(url: str) -> str:
    """Name of the repository; empty where it is no possible name of a folder."""
    path = url.partition("://")[2].partition("/")[2].rstrip("/")
    name = path.rpartition("/")[2].removesuffix(".git")
    fits = len(name) <= LONGEST_PATH and re.fullmatch(_SEGMENT, name) and name not in (".", "..")
    return name if fits else ""


def _is_within(path: str, folder: str) -> bool:
    return posixpath.commonpath([posixpath.normpath(path), posixpath.normpath(folder)]) == posixpath.normpath(folder)
