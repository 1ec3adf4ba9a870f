"""Whatever comes in, a parser answers or refuses as it says, in time; and takes nothing that others read otherwise."""

import base64
import json
import socket
import subprocess
import threading
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httptools
import orjson
import pytest
import yaml
from fuzzing import corpus, fuzz, in_time, mutated, texts
from hypothesis import strategies as st
from joserfc import jws as independent
from yarl import URL

from berth_agent import management, push, vpn, wire
from berth_api.auth.jws import Unverified, has_form
from berth_api.http.bodies import bind
from berth_api.http.errors import BadRequestError
from berth_api.reservations.wish import LaunchRequest
from berth_ci import recipe, script
from berth_core import repositories
from berth_core.firewall import parse_source
from berth_notifier import targets
from berth_operator.agents import client
from berth_operator.builds.manifests.network import Repository
from berth_operator.errors import AgentError

LONGEST: Final = 6 * 3600
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def _part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


_HEADERS: Final = st.fixed_dictionaries(
    {"alg": st.sampled_from(["RS256", "none", "HS256"]), "kid": st.text(max_size=5) | JSON},
    optional={"typ": st.sampled_from(["JWT", "at+jwt", "JOSE", 7]), "crit": JSON, "jwk": JSON, "b64": JSON},
)


class _Registry(independent.JWSRegistry):
    """Lengths are not what it is asked about."""

    max_header_length = max_payload_length = max_signature_length = 8192


TOKENS: Final = texts("tokens") | st.builds(
    lambda header, claims, signature: f"{_part(header)}.{_part(claims)}.{signature}",
    _HEADERS,
    st.dictionaries(st.text(max_size=5), JSON, max_size=4),
    st.sampled_from(["AA", "A", "", "AB", "_-", "AA=="]),
)


@fuzz(TOKENS, *(one.decode() for one in corpus("tokens")))
def test_a_token_is_read_as_others_read_it_or_refused(token: str) -> None:
    if not has_form(token):
        return
    with in_time():
        try:
            found = Unverified.read(token)
        except ValueError:
            return
    other = independent.extract_compact(token.encode(), registry=_Registry())
    assert other.protected["kid"] == found.kid
    assert other.protected["alg"] == "RS256"
    assert orjson.loads(other.payload) == found.claims
    assert json.loads(other.payload).keys() == found.claims.keys()


RECIPES: Final = texts("recipes") | st.builds(
    lambda fields: yaml.safe_dump(fields, allow_unicode=True),
    st.dictionaries(
        st.sampled_from(["image", "script", "env", "timeout", "workspace", "artifacts", "submodules", "x"]),
        JSON | st.sampled_from(["debian:12", ["make"], {"A": "b"}, "30m", True]),
        max_size=7,
    ),
)


@fuzz(RECIPES, *(one.decode("utf-8", "surrogateescape") for one in corpus("recipes")))
def test_a_recipe_is_read_as_others_read_it_or_refused_with_its_line(text: str) -> None:
    text = text[: recipe.LARGEST]
    with in_time():
        try:
            found = recipe.parse(text, LONGEST)
        except recipe.RecipeError as error:
            str(error).encode()
            return
    fields = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 (it makes nothing but text, lists and mappings)
    assert fields["image"] == found.image
    commands = fields["script"]
    assert tuple([commands] if isinstance(commands, str) else commands) == found.script
    script.rendered(found.script, found.env).encode()
    assert found.timeout <= LONGEST
    assert not any(path.startswith("/") or ".." in path.split("/") for path in found.artifacts)


@fuzz(mutated("heads"), *corpus("heads"))
def test_a_head_means_what_another_reader_takes_it_for(head: bytes) -> None:
    with in_time():
        try:
            found = wire.parse_head(head[: wire.MAX_HEAD])
        except wire.HTTPError as refusal:
            wire.render(refusal.status, refusal.fields, keep=False)
            return
    reader = _Reader()
    parser = httptools.HttpRequestParser(reader)
    try:
        parser.feed_data(head[: wire.MAX_HEAD] + wire.END_OF_HEAD)
    except httptools.HttpParserError:
        return  # it is stricter, and asks for methods that it knows
    if reader.complete:
        assert reader.url.decode("latin-1").partition("?")[0] == found.path
        assert int(reader.headers.get(b"content-length", b"0")) == found.length


class _Reader:
    """Record what httptools finds."""

    def __init__(self) -> None:
        self.url, self.complete = b"", False
        self.headers: dict[bytes, bytes] = {}

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        self.complete = True


@fuzz(mutated("pushes") | JSON.map(lambda value: json.dumps(value).encode()), *corpus("pushes"))
def test_a_body_for_the_agent_is_read_or_refused(body: bytes) -> None:
    found = refusal = None
    with in_time():
        with suppress(ValueError):
            found = push.parse(body)
        with suppress(ValueError):
            refusal = vpn.parse(body)
    assert found is None or push.parse(push.render(found)) == found
    assert refusal is None or len(refusal.revoked) <= vpn.MAX_REVOKED


_KEYS: Final = st.lists(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1).filter(str.strip))


@fuzz(st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1), _KEYS, st.text(st.characters(codec="utf-8"))))
def test_what_the_operator_sends_the_agent_reads_back(parts: tuple[int, int, list[str], str]) -> None:
    epoch, generation, keys, notice = parts
    rest = "table inet berth {\n}\n"
    digest = push.digest_of(rest)
    ruleset = f'table inet berth {{\n\tcomment "berth e{epoch} g{generation} {digest}"\n}}\n'
    notice = notice.replace("\0", "")
    wanted = push.Push(push.InForce(epoch, generation, digest), ruleset, tuple(keys), notice)
    assert push.parse(push.render(wanted)) == wanted


@fuzz(mutated("pushes") | JSON.map(lambda value: json.dumps(value).encode()), *corpus("pushes"))
def test_an_agents_answer_is_read_or_refused(body: bytes) -> None:
    with in_time(), suppress(AgentError):
        answer = client.read_answer(body[: client.MOST_ANSWER])
        assert client.number(answer, "generation") >= 0


@fuzz(mutated("management"), *corpus("management"))
def test_whatever_openvpn_says_the_agent_goes_on(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    # Said in one go and then closed, or an endless line would be waited for until its time is up.
    teller = threading.Thread(target=_tell, args=(theirs, said))
    teller.start()
    try:
        with in_time(), suppress(management.VpnError), management.Management(ours) as talk:
            lines = talk.ask("status 2", until="END")
            management.is_connected(lines)
            for session in management.sessions(lines):
                assert "\n" not in session.name + session.address + session.number, "each goes into a command"
    finally:
        ours.close()
        teller.join()


def _tell(sock: socket.socket, said: bytes) -> None:
    with sock, suppress(OSError):
        sock.sendall(said)


def test_an_endless_answer_of_openvpn_ends() -> None:
    ours, theirs = socket.socketpair()

    def talk() -> None:
        with theirs, suppress(OSError):
            while True:
                theirs.sendall(b"x" * 4096)

    teller = threading.Thread(target=talk)
    teller.start()
    try:
        with management.Management(ours) as conversation, pytest.raises(management.VpnError, match="more than"):
            conversation.ask("state", until="END")
    finally:
        ours.close()
        teller.join()


_SOURCES: Final = texts("sources") | st.builds(
    "{}{}".format,
    st.ip_addresses(),
    st.sampled_from(
        ["", "/0", "/8", "/24", "/32", "/33", "/64", "/128", "/129", "/08", "/255.255.0.0", "/0.0.255.255"]
    ),
)


@fuzz(_SOURCES, *(one.decode() for one in corpus("sources")))
def test_a_source_is_the_network_that_another_reader_finds(text: str) -> None:
    with in_time():
        try:
            found = parse_source(text)
        except ValueError:
            return
    address, _, length = text.strip().partition("/")
    version = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = int.from_bytes(socket.inet_pton(version, address))
    width = 128 if version == socket.AF_INET6 else 32
    bits = width if not length else int(length) if length.isdigit() else bin(int(ip_address(length))).count("1")
    packed = packed >> (width - bits) << (width - bits)
    if width == 128 and found.version == 4:
        packed, bits = packed & 0xFFFFFFFF, bits - 96
    assert (int(found.network_address), found.prefixlen) == (packed, bits)
    assert parse_source(str(found)) == found


URLS: Final = texts("urls") | st.builds(
    "{}://{}{}{}{}".format,
    st.sampled_from(["http", "https", "HTTPS", "ssh", "git", "file", "javascript"]),
    st.sampled_from(["", "user@", "user:secret@", "a@b@"]),
    st.sampled_from(
        ["example.org", "[::1]", "127.1", "0x7f000001", "EXAMPLE.org.", "xn--e1afmkfd", "b\u00fccher.example", ""]
    )
    | st.ip_addresses().map(str),
    st.sampled_from(["", ":443", ":0", ":65536", ":22", ":", ":-1", ":\u0664"]),
    st.text(max_size=20),
)


@fuzz(URLS, *(one.decode() for one in corpus("urls")))
def test_a_receivers_url_leads_where_other_readers_think(url: str) -> None:
    with in_time():
        try:
            found = targets.parse(url)
        except targets.TargetError:
            return
    parts, other = urlsplit(url), URL(url)
    assert parts.username is None
    assert parts.scheme == found.scheme == other.scheme
    for host in (parts.hostname, other.raw_host):
        assert host is not None
        assert _same(host, found.host)
    assert found.port == other.port == (parts.port or targets.DEFAULT_PORTS[found.scheme])


def _same(host: str, other: str) -> bool:
    with suppress(ValueError):
        return ip_address(host) == ip_address(other)
    return host.lower() == other.lower()


@fuzz(URLS, *(one.decode() for one in corpus("urls")))
def test_a_url_of_a_request_or_a_resource_is_read_or_refused(url: str) -> None:
    with in_time():
        with suppress(BadRequestError):
            options = bind(LaunchRequest, {"eurl": url})
            assert options.eurl is not None
            assert urlsplit(options.eurl).hostname
        with suppress(BadRequestError):
            bind(LaunchRequest, {"repo": {"url": url}})
        with suppress(ValueError):
            where = Repository.of(url)
            assert where.host == urlsplit(url).hostname
            assert 0 < where.port < 65536
        with suppress(ValueError):
            assert repositories.place(url, None).startswith(f"{repositories.HOME}/")


_HOST_KEYS: Final = st.lists(texts("host_keys"), max_size=3)


@fuzz(_HOST_KEYS, *([one.decode()] for one in corpus("host_keys")))
def test_host_keys_make_lines_for_their_machine_only(keys: list[str]) -> None:
    text = script.known_hosts(script.Machine("192.0.2.7", 30022, tuple(keys)))
    lines = text.splitlines()
    assert len(lines) <= len(keys)
    assert all(line.startswith("[192.0.2.7]:30022 ") for line in lines)


def test_ssh_finds_the_key_of_the_machine_and_of_no_other(tmp_path: Path) -> None:
    keys = tuple(one.decode() for one in corpus("host_keys"))
    path = tmp_path / "known_hosts"
    path.write_text(script.known_hosts(script.Machine("192.0.2.7", 30022, keys)))
    found = {host: _finds(path, host) for host in ("[192.0.2.7]:30022", "192.0.2.7", "example.org")}
    assert found == {"[192.0.2.7]:30022": True, "192.0.2.7": False, "example.org": False}


def _finds(path: Path, host: str) -> bool:
    command = ["ssh-keygen", "-F", host, "-f", str(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
