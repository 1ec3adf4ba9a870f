"""Where a webhook goes, read from its URL once and strictly. Pure.

Parts that people and programs read differently are refused: user names in the URL, other notations of addresses (one
number, octal, hexadecimal, short, in other scripts, percent-encoded), dots at the end, backslashes. So the host that is
checked and the host that is connected to cannot differ.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from berth_core import hosts

LONGEST_NAME: Final = 253
LOWEST_FREE_PORT: Final = 1024
WELL_KNOWN_PORTS: Final = frozenset({80, 443})
"""The only ones below 1024: behind the others are services that could take our request for a command of theirs."""
DEFAULT_PORTS: Final = {"http": 80, "https": 443}

_URL: Final = re.compile(r"(https?)://([^/?#]*)([^#]*)(?:#.*)?", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::([0-9]{1,5}))?", re.IGNORECASE)
_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")


class TargetError(ValueError):
    """The URL is not one that webhooks are sent to; the message says why, without the URL."""


@dataclass(frozen=True)
class Target:
    """A receiver. ``host`` is a name in lower case or an address; ``path`` begins with a slash and has the query."""

    scheme: str
    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        """The URL as it is asked for."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"


def parse(url: str) -> Target:
    """Read a URL. Raises TargetError."""
    if not all("!" <= character <= "~" and character != "\\" for character in url):
        raise TargetError("the URL has characters that must be percent-encoded (names: as punycode)")
    whole = _URL.fullmatch(url)
    if whole is None:
        raise TargetError("the URL is neither http nor https")
    scheme, authority, rest = whole[1].lower(), whole[2], whole[3]
    if "@" in authority:
        raise TargetError("the URL has a user name or password: leave it out")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise TargetError("the URL has no host and port that can be read in one way only")
    path = rest if rest.startswith("/") else f"/{rest}"
    return Target(scheme, _host(parts[1].lower()), _port(parts[2], scheme), path)


def _host(text: str) -> str:
    if text.startswith("["):
        try:
            return str(IPv6Address(text[1:-1]))
        except ValueError as error:
            raise TargetError("the URL's host is no IPv6 address") from error
    labels = text.split(".")
    if len(text) > LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels):
        raise TargetError("the URL's host is no host name")
    try:
        hosts.address_of(text)
    except ValueError as error:
        raise TargetError(f"the URL's host {error}") from error
    return text


def _port(text: str | None, scheme: str) -> int:
    if text is None:
        return DEFAULT_PORTS[scheme]
    port = int(text)
    if port not in WELL_KNOWN_PORTS and not LOWEST_FREE_PORT <= port <= 65535:
        raise TargetError("the URL's port must be 80, 443, or from 1024 to 65535")
    return port
