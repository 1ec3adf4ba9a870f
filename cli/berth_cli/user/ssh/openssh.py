"""Arguments for OpenSSH."""

import re
import shlex
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from berth_cli.ui.errors import FAILED, NOT_FOUND, USAGE, CliError
from berth_cli.user.client import Api, Refused
from berth_cli.user.instances import store
from berth_cli.user.session import Json, escaped

CONNECT_SECONDS: Final = 15
ALIVE_SECONDS: Final = 10
"""Seconds of silence after which ssh asks whether the other side lives; it gives up after the third question."""
_USER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
_PORTS: Final = re.compile(r"(\d{0,5}):(\d{1,5})|(\d{1,5})")
_INSTANCE_PATH: Final = re.compile(r"([A-Za-z0-9_-]*):(.*)", re.DOTALL)


@dataclass(frozen=True)
class Login:
    """Login to an instance. ``made``: Berth made the key, which has no passphrase."""

    alias: str
    host: str
    port: int
    user: str
    known_hosts: Path
    key: Path | None
    made: bool

    @property
    def target(self) -> str:
        """As ssh and scp take it."""
        return f"{self.user}@{self.host}"


def login(api: Api, info: Json, identity: Path | None) -> Login:
    """Prepare a login, and keep host keys and key on this machine. Raises CliError until the instance is READY."""
    id_, status = info["id"], info["status"]
    if status != "READY":
        hint = "`berth info` shows how far it is" if status == "INIT" else "`berth new` takes another"
        raise CliError(f"instance {id_} is {status}: {hint}", FAILED)
    known_hosts = store.keep_known_hosts(id_, info["hostkeys"])
    own = identity.expanduser() if identity is not None else store.identity(id_)
    if own is not None and not own.is_file():
        raise CliError(f"there is no key {own}: name another with --identity", USAGE)
    key = None if own is not None else store.key(id_) or _fetched(api, id_)
    host, port, user = str(info["fwd"]["ipv4"]), int(info["fwd"]["port"]), str(info["rootuser"])
    if not (_USER.fullmatch(user) and _is_address(host)):
        # A word that begins with a dash would be an option of ssh.
        raise CliError(f"the API says that instance {id_} is at {user}@{host}, which is no user and address", FAILED)
    return Login(store.alias(id_), host, port, user, known_hosts, own or key, key is not None)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _fetched(api: Api, id_: str) -> Path | None:
    """Fetch the key that Berth made, for an instance requested on another machine; None: the user brought a key."""
    try:
        return store.keep_key(id_, api.get(f"/instance/{escaped(id_)}/sshkey")["key"])
    except Refused as error:
        if error.code != NOT_FOUND:
            raise
        return None


def options(login: Login) -> list[str]:
    """Return options of ssh and scp: only these host keys, and no questions but for a key's passphrase."""
    settings = [
        "StrictHostKeyChecking=yes",
        f"UserKnownHostsFile={_quoted(login.known_hosts)}",
        "GlobalKnownHostsFile=none",
        f"HostKeyAlias={login.alias}",
        "CheckHostIP=no",
        "UpdateHostKeys=no",
        "PreferredAuthentications=publickey",
        f"ConnectTimeout={CONNECT_SECONDS}",
        f"ServerAliveInterval={ALIVE_SECONDS}",
        "LogLevel=ERROR",
    ]
    if login.key is not None:
        settings += ["IdentitiesOnly=yes", "IdentityFile=" + _quoted(login.key)]
    if login.made:
        settings.append("BatchMode=yes")
    return [word for setting in settings for word in ("-o", setting)]


def _quoted(path: Path) -> str:
    """Quote a path for ssh's configuration, where quotes and % are special (ssh_config(5))."""
    return '"' + str(path).replace("%", "%%") + '"'


def instance_of(words: Sequence[str]) -> str | None:
    """Return the instance that `scp` means; None for the only active one. Raises CliError for none or two. Pure.

    >>> instance_of([":a", "."]), instance_of(["a", "7f3e:b"])
    (None, '7f3e')
    """
    instances = {match[1] for word in words if (match := _remote_part(word))}
    if not instances:
        raise CliError("neither side is an instance: write :PATH or INSTANCE:PATH", USAGE)
    if len(instances) > 1:
        raise CliError(
            f"these are several instances ({', '.join(sorted(instances))}): copy from one after the other", USAGE
        )
    return instances.pop() or None


def remote(word: str, target: str) -> str:
    """Return a word of `berth scp` as scp takes it. Pure.

    >>> remote("7f3e:b", "root@h"), remote("./a:b", "root@h")
    ('root@h:b', './a:b')
    """
    match = _remote_part(word)
    return f"{target}:{match[2]}" if match else word


def _remote_part(word: str) -> re.Match[str] | None:
    """Match a remote word: one with a colon before any slash, as for scp itself."""
    return _INSTANCE_PATH.fullmatch(word)


def ports(words: Sequence[str]) -> tuple[str | None, list[tuple[int, int]]]:
    """Separate the instance from the ports (here, there); 0 stands for a free one here. Raises CliError. Pure.

    >>> ports(["8080:80", ":5000", "22"])
    (None, [(8080, 80), (0, 5000), (22, 22)])
    """
    matches = [(word, _PORTS.fullmatch(word)) for word in words]
    which = matches.pop(0)[0] if matches and matches[0][1] is None else None
    if not matches:
        raise CliError("which port? Write [LOCAL:]REMOTE, such as 8080:80", USAGE)
    pairs = []
    for word, match in matches:
        there = int(match[2] or match[3]) if match else 0
        here = int(match[1] or 0) if match and match[2] else there
        if not 0 < there < 65536 or not 0 <= here < 65536:
            raise CliError(f"{word!r} is no port: write [LOCAL:]REMOTE, such as 8080:80", USAGE)
        pairs.append((here, there))
    return which, pairs


def forwards(address: str, pairs: Sequence[tuple[int, int]]) -> list[str]:
    """Return ssh's options for ports; ssh prints each when it listens, and ends where one is not available."""
    bound = [(here or _free_port(address), there) for here, there in pairs]
    script = "; ".join(shlex.join(["echo", f"{address}:{here} is port {there} there"]) for here, there in bound)
    options = ["-o", "ExitOnForwardFailure=yes", "-o", "PermitLocalCommand=yes", "-o", f"LocalCommand={script}"]
    host = f"[{address}]" if ":" in address else address
    return [*options, *(word for here, there in bound for word in ("-L", f"{host}:{here}:127.0.0.1:{there}"))]


def _free_port(address: str) -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
            port: int = probe.getsockname()[1]
    except OSError as error:
        raise CliError(f"nothing can listen on {address}: {error.strerror}", USAGE) from error
    return port
