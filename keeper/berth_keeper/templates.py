"""Requests that work a relay over HTTP, as its Secret has them. Pure."""

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field
from yarl import URL

from berth_core import hosts
from berth_core.firewall.special import Address
from berth_core.machines.reach import Networks
from berth_keeper.secret import (
    ADDRESS,
    CA,
    DEEDS,
    STATE,
    UNUSABLE,
    Part,
    UnusableError,
    is_plain,
    literal,
    need_reachable,
    parsed,
)

_PRINTABLE: Final = r"^[\x20-\x7e]*$"
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_URL: Final = re.compile(r"https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?([/?][!\x22$-\[\]-~]*)?")
"""Without user names, backslashes and fragments, which programs read differently."""
_OURS: Final = frozenset({"connection", "content-length", "host", "transfer-encoding"})


class Request(Part):
    """A request to a relay, as a JSON object of the Secret. Nothing is put into it."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    url: Annotated[str, Field(max_length=2048)]
    headers: Annotated[dict[str, Annotated[str, Field(max_length=4096, pattern=_PRINTABLE)]], Field(max_length=32)] = (
        Field(default_factory=dict)
    )
    body: Annotated[str, Field(max_length=16384)] = ""


class StateRequest(Request):
    """A request whose answer shows whether power is on: the body has one of two texts."""

    on: Annotated[str, Field(min_length=1, max_length=256)]
    off: Annotated[str, Field(min_length=1, max_length=256)]


R = TypeVar("R", bound=Request)


@dataclass(frozen=True)
class Target:
    """Where a request goes. The connection is made to ``address``, TLS and the Host header use the URL's host."""

    url: URL
    address: Address


@dataclass(frozen=True)
class HttpRelay:
    """A relay that speaks HTTP."""

    requests: Mapping[str, Request]
    """By deed."""
    targets: Mapping[str, Target]
    """By deed, and of STATE."""
    state: StateRequest | None
    tls: ssl.SSLContext | None
    """Trusts the Secret's own authority alone; None where all requests are plain."""


def read(texts: Mapping[str, str], networks: Networks) -> HttpRelay:
    """Read the texts of a Secret. Raises UnusableError."""
    requests = {deed: _request(Request, deed, texts[deed]) for deed in DEEDS if deed in texts}
    state = _request(StateRequest, STATE, texts[STATE]) if STATE in texts else None
    every: dict[str, Request] = {**requests, **({STATE: state} if state is not None else {})}
    fixed = literal(ADDRESS, texts[ADDRESS]) if ADDRESS in texts else None
    plain = is_plain(texts)
    targets = {key: _target(key, one, fixed, networks, plain=plain) for key, one in every.items()}
    return HttpRelay(requests, targets, state, _tls(texts, targets))


def _request(kind: type[R], key: str, text: str) -> R:
    request = parsed(kind, key, text)
    for name in request.headers:
        if not _TOKEN.fullmatch(name) or name.lower() in _OURS:
            raise UnusableError(UNUSABLE, f"the Secret's key {key}.headers has a name that no request may have")
    return request


def _target(key: str, request: Request, fixed: Address | None, networks: Networks, *, plain: bool) -> Target:
    """Read a URL once: the host that is checked here is the one that is connected to."""
    try:
        if not _URL.fullmatch(request.url):
            raise ValueError("no plain URL")
        url = URL(request.url, encoded=True)
        given = hosts.address_of(url.host or "")
        if not url.port:
            raise ValueError("no port")
    except ValueError as error:
        raise UnusableError(
            UNUSABLE,
            f"the Secret's key {key}.url is no URL that can be read in one way only: write it as"
            " https://192.0.2.60/path, without a user name or a fragment",
        ) from error
    if url.scheme == "http" and not plain:
        raise UnusableError(
            UNUSABLE, f"the Secret's key {key}.url is plain http: use https, or set the key plain to true"
        )
    address = fixed if given is None else given
    if address is None:
        raise UnusableError(
            UNUSABLE, f"the Secret's key {key}.url has a name, and names are not asked for: add its address as address"
        )
    if given is not None and fixed is not None and given != fixed:
        raise UnusableError(UNUSABLE, f"the Secret's key {key}.url has another address than the key address")
    need_reachable(address, networks)
    return Target(url, address)


def _tls(texts: Mapping[str, str], targets: Mapping[str, Target]) -> ssl.SSLContext | None:
    if all(target.url.scheme == "http" for target in targets.values()):
        return None
    if CA not in texts:
        raise UnusableError(
            UNUSABLE, f"the Secret has no key {CA}: add the authority that signed the relay's certificate"
        )
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(cadata=texts[CA])
    except (ssl.SSLError, ValueError) as error:
        raise UnusableError(UNUSABLE, f"the Secret's key {CA} has no certificate in PEM") from error
    if not context.get_ca_certs():
        raise UnusableError(UNUSABLE, f"the Secret's key {CA} has no certificate of an authority (CA:TRUE)")
    return context
