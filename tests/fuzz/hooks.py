"""Lets schemathesis speak to the API: fresh tokens, ids that exist, and today's statuses for the historic ones.

The contract answers 400 where HTTP has 401, 405 or 409 today. Each is told from the others by its message, and
shown to the checks with its modern status, so that all of them can judge: a request without a token that got through,
a method that is not served and not refused, valid data that was refused. FUZZ_SETTING (a JSON file) holds ``key``
(PEM), ``kid``, ``user``, and ``known`` (values by the name of a path parameter).
"""

import copy
import itertools
import json
import os
import re
import secrets
import time
import zlib
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import jwt
import schemathesis
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import strategies
from schemathesis.core.failures import Failure

Json = dict[str, Any]

SETTING: Final[Json] = json.loads(Path(os.environ["FUZZ_SETTING"]).read_text())
SIGNING: Final = load_pem_private_key(SETTING["key"].encode(), None)
"""Read once: reading takes longer than signing, and than most requests."""
TOKEN_LIFE: Final = 3600
KEY: Final = re.compile("[!-~][ -~]{0,254}")
RUN: Final = secrets.token_hex(4)
"""Of this run: another may be sent to the same process, which remembers keys."""
_numbers: Final = itertools.count()
_patterns: Final[dict[str, re.Pattern[str]]] = {}
_made: Final = set[str]()
"""Values of the Authorization header that hold a token that was good when it was made."""
UNAUTHENTICATED: Final = frozenset({"wrong authorization token", "authentication failed"})
NOT_NOW: Final = re.compile(
    r"instance (is [A-Z_]+|not active)|workspace deployment (dissolved|is locked out)"
    r"|this instance (has no VPN|has no end|runs until|lasts)|the time of this instance was up|an instance may last"
    r"|a firewall has at most|a workspace deployment has at most|[0-9]+ unknown tokens are revoked"
    r"|the workspace's own end of the VPN|a VPN signs at most"
    r"|build (has not ended|is [a-z]+)|at most [0-9]+ (builds|projects) of one user"
    r"|value for option `health` is wrong: the probe asks"
)
"""Refusals that depend on the state, not on the request."""


_PRINTABLE: Final = strategies.text(strategies.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64)
_KEYS: Final = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ somebody@example.test",
]
_PATHS: Final = strategies.text(strategies.sampled_from("abcdefghijklmnopqrstuvwxyz0123456789-_/.%"), max_size=64)

schemathesis.openapi.format("printable", _PRINTABLE)
schemathesis.openapi.format("ssh-public-key", strategies.sampled_from(_KEYS))
schemathesis.openapi.format("http-url", strategies.builds("https://example.test/{}".format, _PATHS))
schemathesis.openapi.format("git-url", strategies.builds("https://git.example.test/{}/arm.git".format, _PATHS))
schemathesis.openapi.format(
    "clone-path", strategies.from_regex(r"(/opt/)?[a-z0-9_-]{1,20}(/[a-z0-9_-]{1,20}){0,3}", fullmatch=True)
)
schemathesis.openapi.format("cidr", strategies.ip_addresses().map(str))
_HOSTS: Final = strategies.integers(1, 250).map("198.21.0.{}".format)
"""Addresses that a MachineGrant of the user's has."""
schemathesis.openapi.format(
    "machine-address", _HOSTS | strategies.sampled_from(["192.0.2.0/29", "2001:db8::7", "2001:db8:7::/64", "192.0.2.7"])
)
schemathesis.openapi.format(
    "machine-ports", strategies.sampled_from(["22", "80/TCP", "7400-7500/UDP", "1-65535", "30002"])
)
schemathesis.openapi.format(
    "rfc3339", strategies.sampled_from(["2100-01-01T00:00:00Z", "2099-12-31T23:59:59.5+01:00", "2020-02-29T12:00:00Z"])
)


def token() -> str:
    """Make a token of a superuser, for whom all is there to be changed."""
    # As if by a clock that is a little fast, which the API bears.
    now = int(time.time()) + 3
    claims = {"sub": SETTING["user"], "su": True, "iss": "berth", "aud": "berth", "iat": now, "exp": now + TOKEN_LIFE}
    assert isinstance(SIGNING, RSAPrivateKey)
    made = jwt.encode(claims, SIGNING, algorithm="RS256", headers={"kid": SETTING["kid"]})
    _made.add(f"Bearer {made}")
    return made


@schemathesis.auth(refresh_interval=1)
class FreshToken:
    """A token that outlives `POST /purge`, which ends all that were made before."""

    def get(self, _case: schemathesis.Case[Any], _context: schemathesis.AuthContext) -> str:
        """Make a token."""
        return token()

    def set(self, case: schemathesis.Case[Any], data: str, _context: schemathesis.AuthContext) -> None:
        """Send it."""
        case.headers["Authorization"] = f"Bearer {data}"


@schemathesis.hook
def before_load_schema(_context: schemathesis.HookContext, raw_schema: Json) -> None:
    """Document the statuses that :func:`after_call` shows, and learn how parameters of paths are written."""
    for methods in raw_schema["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                if parameter.get("in") == "path":
                    _patterns[parameter["name"]] = re.compile(parameter["schema"].get("pattern", ""))
            responses = operation["responses"]
            for status in ("401", "405", "409"):
                if "400" in responses and status not in responses:
                    responses[status] = copy.deepcopy(responses["400"])


@schemathesis.hook
def before_call(_context: schemathesis.HookContext, case: schemathesis.Case[Any], _kwargs: Json) -> None:
    """Make a request current: some are sent long after they were thought of.

    Each has an Idempotency-Key of its own, since the same one again rightly gets the first answer again.
    """
    if case.headers.get("Authorization") in _made:
        case.headers["Authorization"] = f"Bearer {token()}"
    key = case.headers.get("Idempotency-Key", "")
    if KEY.fullmatch(key):
        case.headers["Idempotency-Key"] = f"fuzz-{RUN}-{next(_numbers)}"
    elif KEY.fullmatch(inner := key.strip(" \t")):
        # Blanks around a value are no part of it, so a server sees nothing wrong: the wrong goes inside.
        case.headers["Idempotency-Key"] = f"{inner}\t{inner}"


@schemathesis.hook
def after_call(
    _context: schemathesis.HookContext, _case: schemathesis.Case[Any], response: schemathesis.Response
) -> None:
    """Show a historic status as what it means."""
    response.status_code = meant(response.status_code, response.content, has_allow="allow" in response.headers)


def meant(status: int, content: bytes, *, has_allow: bool) -> int:
    """Return today's status for an answer of the API."""
    if status not in {400, 503}:
        return status
    fields = json.loads(content)
    message = fields["error_message"]
    if status == 503:
        return 409 if "result_message" in fields else status
    if message in UNAUTHENTICATED:
        return 401
    if message == "unrecognized command" and has_allow:
        return 405
    return 409 if NOT_NOW.match(message) else status


@schemathesis.hook
def map_path_parameters(_context: schemathesis.HookContext, path_parameters: Json) -> Json:
    """Put ids that exist in the place of most generated ones, which hardly ever do.

    Values that are wrong on purpose stay, or what is refused for them would seem to be accepted.
    """
    if not path_parameters:
        return path_parameters
    return {
        name: _known(name, value) if _patterns[name].search(str(value)) else value
        for name, value in path_parameters.items()
    }


@schemathesis.hook
def map_query(_context: schemathesis.HookContext, query: Json) -> Json:
    """The same for ids in a query. A log is not followed: that ends with the build, and nobody builds anything here."""
    if query and "follow" in query:
        query = {name: value for name, value in query.items() if name != "follow"}
    return {name: _known(name, value) for name, value in (query or {}).items()} if query else query


@schemathesis.hook
def map_body(_context: schemathesis.HookContext, body: Any) -> Any:
    """The same for ids in a body, and for the type of a machine to register."""
    if not isinstance(body, dict):
        return body
    if isinstance(body.get("wds"), list):
        body = body | {"wds": [_known("wds", value) for value in body["wds"]]}
    if "machine" in body and isinstance(body.get("type"), str) and re.fullmatch("[A-Za-z_0-9]{1,128}", body["type"]):
        body = body | {"type": _known("type_name", body["type"])}
    return body


def _known(name: str, value: Any) -> Any:
    known = SETTING["known"].get(name, [])
    place = zlib.crc32(str(value).encode()) % (len(known) + 1)
    return known[place] if place < len(known) else value


@schemathesis.hook
def filter_failure(
    _context: schemathesis.HookContext,
    failure: Failure,
    case: schemathesis.Case[Any],
    _response: schemathesis.Response,
) -> bool:
    """Drop what is no failure.

    `ignored_auth` sends requests that skip :func:`after_call`, and wonders at refusals with the historic status.
    The index holds URL templates, whose names in braces are taken for ids and rightly refused.
    """
    templated = any("{" in unquote(str(value)) for value in case.path_parameters.values())
    return not (failure.title.startswith("Unexpected response to") or templated)
