"""Tokens of receivers of commit statuses: the only Secrets that this process reads, and only where a token may go.

Writers of a Project or a Delivery choose URL and Secret. So a Secret says by itself where its token may be sent: to
URLs that begin with its value of ``url``.
"""

import base64
import binascii
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.errors import ClusterError, ForbiddenError, NotFoundError
from berth_core.kube.types import Kind
from berth_notifier import targets
from berth_notifier.targets import Target

SECRETS: Final = Kind("v1", "secrets")
_BEYOND: Final = re.compile(r"/?(?:(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+(?:/|$))*")
"""Parts of a path that every server reads alike: nothing encoded, no dots that climb, no parameters."""
_TOKEN: Final = re.compile(r"[!-~]{1,4096}")


class TokenError(Exception):
    """No token can be sent; the message says what to do, and nothing of the token."""


@dataclass(frozen=True)
class Token:
    """A token, and the beginning of the URLs that it may be sent to."""

    value: str = field(repr=False)
    prefix: Target

    def may_go_to(self, target: Target) -> bool:
        """Whether a URL begins with the prefix, at the border of a part of its path, and goes on plainly from there."""
        where = (target.scheme, target.host, target.port)
        if where != (self.prefix.scheme, self.prefix.host, self.prefix.port):
            return False
        path, start = target.path.partition("?")[0], self.prefix.path
        begins = path == start or path.startswith(start if start.endswith("/") else f"{start}/")
        return begins and _BEYOND.fullmatch(path.removeprefix(start)) is not None


class Tokens:
    """Reads Secrets of one namespace, those with certain names and no others."""

    def __init__(self, client: Client, namespace: str, listed: Collection[str]) -> None:
        self._client = client
        self._namespace = namespace
        self._listed = frozenset(listed)

    async def read(self, name: str) -> Token:
        """Read a token, live. Raises TokenError."""
        if name not in self._listed:
            raise TokenError(f"the Secret {name} is not one of those that the chart's value ci.statusSecrets lists")
        try:
            secret = await self._client.get(SECRETS, self._namespace, name)
        except (NotFoundError, ForbiddenError) as error:
            raise TokenError(f"the Secret {name} is not there, or may not be read") from error
        except ClusterError as error:
            raise TokenError(f"the Secret {name} cannot be read at the moment") from error
        return parse(name, secret.get("data") or {})


def parse(name: str, data: dict[str, str]) -> Token:
    """Read the content of a Secret. Raises TokenError. Pure."""
    try:
        value = base64.b64decode(data[names.STATUS_TOKEN]).decode("ascii").strip()
        prefix = targets.parse(base64.b64decode(data[names.STATUS_URL]).decode("ascii").strip())
    except KeyError as error:
        raise TokenError(
            f"the Secret {name} needs the keys `token`, and `url`: the beginning of the URLs that it is for"
        ) from error
    except (ValueError, binascii.Error) as error:
        raise TokenError(f"the Secret {name} has a `token` or `url` that cannot be used") from error
    if not _TOKEN.fullmatch(value):
        raise TokenError(f"the Secret {name} has a `token` that cannot be used")
    return Token(value, prefix)


def headers(form: str, token: Token | None) -> dict[str, str]:
    """Return the headers that a provider wants, by the documentation of its API. Pure."""
    if form == "github":
        common = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        return common | ({"Authorization": f"Bearer {token.value}"} if token is not None else {})
    if form == "gitlab":
        return {"PRIVATE-TOKEN": token.value} if token is not None else {}
    return {"Authorization": f"token {token.value}"} if token is not None else {}
