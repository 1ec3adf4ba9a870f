"""The host's own settings, which nothing that comes over the link can change."""

from __future__ import annotations

import configparser
import ipaddress
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

PATH: Final = "/etc/berth-connector.conf"
STATE: Final = "/var/lib/berth-connector"
SECTION: Final = "connector"
_KNOWN: Final = ("hub", "state", "targets", "linklosstimeout", "ondisconnect", "ondisconnecttimeout")


class ConfigError(ValueError):
    """A setting that cannot be; the message names it."""


@dataclass(frozen=True)
class Config:
    """Settings of one connector."""

    hub: tuple[tuple[str, int], ...]
    """Where the hub is: host and port, one or several."""
    state: str = STATE
    """Folder of the key, the certificate and the fence's marks."""
    targets: tuple[str, ...] = ()
    """Addresses and ports that streams may go to, as ``address:port``; nothing else is reached."""
    link_loss_timeout: float = 2.0
    """Seconds for which the hub may be silent before the machine's sockets are closed."""
    on_disconnect: tuple[str, ...] = ()
    """Command, without a shell, that brings the machine to rest. It must be idempotent."""
    on_disconnect_timeout: float = 10.0
    """Seconds after which the command has failed."""


def load(path: str) -> Config:
    """Read the file. Raises ConfigError."""
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    try:
        with open(path, encoding="utf-8") as file:
            parser.read_file(file)
        return parse(dict(parser[SECTION]))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}. `berth-connector enroll` writes it") from error
    except KeyError as error:
        raise ConfigError(f"{path} has no section [{SECTION}]") from error
    except configparser.Error as error:
        raise ConfigError(f"{path} cannot be understood: {error}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def parse(fields: Mapping[str, str]) -> Config:
    """Read the fields of the section, whose names have small letters. Pure; raises ConfigError."""
    for name in fields:
        if name not in _KNOWN:
            raise ConfigError(
                f"there is no setting {name}: there are hub, state, targets, linkLossTimeout,"
                " onDisconnect, onDisconnectTimeout"
            )
    try:
        command = tuple(shlex.split(fields.get("ondisconnect", "")))
    except ValueError as error:
        raise ConfigError(f"onDisconnect cannot be read: {error}") from error
    return Config(
        hub=tuple(host_port(word) for word in fields.get("hub", "").split()) or _missing("hub"),
        state=fields.get("state", STATE),
        targets=tuple(target(word) for word in fields.get("targets", "").split()),
        link_loss_timeout=_seconds("linkLossTimeout", fields.get("linklosstimeout", "2"), 0.5, 60),
        on_disconnect=command,
        on_disconnect_timeout=_seconds("onDisconnectTimeout", fields.get("ondisconnecttimeout", "10"), 0.1, 600),
    )


def render(config: Config) -> str:
    """Return a file that :func:`load` reads as these settings."""
    lines = [
        "# Settings of this host. Nothing that comes over the link changes them. Restart the connector after a change.",
        f"[{SECTION}]",
        "hub = " + " ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in config.hub),
        f"state = {config.state}",
        "# Streams go to these addresses and ports, and nowhere else.",
        "targets = " + " ".join(config.targets),
        "# Seconds of a silent link before the machine's sockets are closed and onDisconnect is run.",
        f"linkLossTimeout = {config.link_loss_timeout:g}",
        "# Command, without a shell, that brings the machine to rest. It is repeated until it exits with 0.",
        "onDisconnect = " + " ".join(shlex.quote(word) for word in config.on_disconnect),
        f"onDisconnectTimeout = {config.on_disconnect_timeout:g}",
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def host_port(text: str) -> tuple[str, int]:
    """Read ``host:port`` or ``[IPv6 address]:port``. Raises ConfigError."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise ConfigError(f"{text} is no host:port (an IPv6 address stands in brackets)")
    return host, int(port)


def target(text: str) -> str:
    """Read and normalize ``address:port`` with a literal address. Raises ConfigError."""
    host, port = host_port(text)
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        raise ConfigError(f"{text}: targets are literal addresses, no names") from error
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def _seconds(name: str, text: str, least: float, most: float) -> float:
    try:
        seconds = float(text)
    except ValueError as error:
        raise ConfigError(f"{name} is no number of seconds: {text}") from error
    if not least <= seconds <= most:
        raise ConfigError(f"{name} is {text}: it may be from {least:g} to {most:g} seconds")
    return seconds


def _missing(name: str) -> tuple[tuple[str, int], ...]:
    raise ConfigError(f"{name} is missing")
