"""Reads and checks the bodies of requests. Pure but for the decoding of keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from berth_api.http.client_address import Address
from berth_api.http.errors import BadRequestError
from berth_core import repositories
from berth_core.firewall.model import Action, parse_action, parse_source
from berth_core.keys.ssh import parse_public_key
from berth_core.resources.accessrule import EVERYBODY
from berth_core.resources.instance import Repo

Body = Mapping[str, Any]

MOST_SECONDS: Final = 2**31 - 1
MOST_DEPLOYMENTS: Final = 256
LONGEST_URL: Final = 2048
LONGEST_USER: Final = 253

Capability = Literal["CAP_INSTANTIATE", "CAP_NO_INSTANTIATE"]
CAPABILITIES: Final[Mapping[str, Capability]] = {
    "CAP_INSTANTIATE": "CAP_INSTANTIATE",
    "CAP_NO_INSTANTIATE": "CAP_NO_INSTANTIATE",
}


@dataclass(frozen=True)
class LaunchOptions:
    """Options of a wanted instance. ``expire_d`` is in seconds; ``sshkey`` is one normalised public key."""

    sshkey: str | None = None
    vpn: bool = False
    reserve: bool = False
    eurl: str | None = None
    expire_d: int | None = None
    keepalive: bool = False
    allow_noop: bool = False
    repo: Repo | None = None


@dataclass(frozen=True)
class WantedRule:
    """A firewall rule to append; ``source`` is in CIDR notation."""

    source: str
    action: Action


@dataclass(frozen=True)
class WantedAccess:
    """An access rule to make; ``user`` is `*` for everybody."""

    capability: Capability
    user: str


def launch_options(body: Body) -> LaunchOptions:
    """Read the options of POST /new…; unknown ones are ignored. Raises BadRequestError."""
    expire_d = body.get("expire_d")
    if expire_d is not None:
        expire_d = _typed(body, "expire_d", int)
        if not 1 <= expire_d <= MOST_SECONDS:
            raise BadRequestError("value for option `expire_d` must be a positive number of seconds")
    return LaunchOptions(
        sshkey=_sshkey(body),
        vpn=_boolean(body, "vpn"),
        reserve=_boolean(body, "reserve"),
        eurl=_url(body, "eurl"),
        expire_d=expire_d,
        keepalive=_boolean(body, "keepalive"),
        allow_noop=_boolean(body, "allow_noop"),
        repo=_repo(body),
    )


def wanted_deployments(body: Body) -> tuple[str, ...]:
    """Read ``wds``, without repetitions. Raises BadRequestError."""
    if body.get("wds") is None:
        raise BadRequestError("option `wds` is required: a list of deployment ids")
    wds = body["wds"]
    if not isinstance(wds, list) or not all(isinstance(item, str) for item in wds):
        raise BadRequestError("value for option `wds` has wrong type")
    if not 1 <= len(wds) <= MOST_DEPLOYMENTS:
        raise BadRequestError(f"value for option `wds` must have 1 to {MOST_DEPLOYMENTS} ids")
    return tuple(dict.fromkeys(item.lower() for item in wds))


def wanted_rule(body: Body, caller: Address) -> WantedRule:
    """Read a firewall rule; without ``src`` it is about the caller's address. Raises BadRequestError."""
    source, action = body.get("src"), body.get("action")
    try:
        network = parse_source(str(caller) if source is None else _text(source))
    except ValueError as error:
        raise BadRequestError("value for option `src` must be an IPv4 address or subnet in CIDR notation") from error
    try:
        chosen = Action.ACCEPT if action is None else parse_action(_text(action))
    except ValueError as error:
        raise BadRequestError("value for option `action` not recognized") from error
    return WantedRule(str(network), chosen)


def wanted_access(body: Body) -> WantedAccess:
    """Read an access rule; without ``user`` it is about everybody. Raises BadRequestError."""
    given = body.get("cap")
    capability = CAPABILITIES.get(given) if isinstance(given, str) else None
    if capability is None:
        raise BadRequestError(f"value for option `cap` must be {' or '.join(CAPABILITIES)}")
    user = EVERYBODY if body.get("user") is None else _typed(body, "user", str)
    if not 1 <= len(user) <= LONGEST_USER or not user.isprintable():
        raise BadRequestError(f"value for option `user` must be a user's name of up to {LONGEST_USER} characters, or *")
    return WantedAccess(capability, user)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a string")
    return value


def _typed(body: Body, option: str, kind: type) -> Any:
    value = body[option]
    if kind is int and isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON knows one kind of number
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise BadRequestError(f"value for option `{option}` has wrong type")
    return value


def _boolean(body: Body, option: str) -> bool:
    return False if body.get(option) is None else bool(_typed(body, option, bool))


def _sshkey(body: Body) -> str | None:
    if body.get("sshkey") is None:
        return None
    try:
        return parse_public_key(_typed(body, "sshkey", str))
    except ValueError as error:
        raise BadRequestError(f"value for option `sshkey` is no public key in OpenSSH's form: {error}") from error


def _url(body: Body, option: str) -> str | None:
    if body.get(option) is None:
        return None
    text: str = _typed(body, option, str)
    try:
        parts = urlsplit(text)
        proper = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        proper = False
    if not proper or len(text) > LONGEST_URL or any(c.isspace() or not c.isprintable() for c in text):
        raise BadRequestError(f"value for option `{option}` must be an http or https URL")
    return parts.scheme + text[len(parts.scheme) :]  # in lower case, as resources hold it


def _repo(body: Body) -> Repo | None:
    if body.get("repo") is None:
        return None
    repo: Body = _typed(body, "repo", dict)
    url, path = repo.get("url"), repo.get("path")
    if not isinstance(url, str) or not (path is None or isinstance(path, str)):
        raise BadRequestError("value for option `repo` has wrong type")
    try:
        repositories.place(url, path)
    except ValueError as error:
        raise BadRequestError(f"value for option `repo`: its {error}") from error
    return Repo(url=url, path=path)
