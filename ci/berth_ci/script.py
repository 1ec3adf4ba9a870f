"""The script of a build as sh runs it, and what ssh needs to reach its machine. Pure."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from berth_ci.places import KEY, KNOWN_HOSTS, SOURCE

_KEY: Final = re.compile(r"[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}( [ -~]*)?")
"""A public key in OpenSSH's form."""


@dataclass(frozen=True)
class Machine:
    """The machine that was leased for a build: where ssh answers, and its public host keys."""

    host: str
    port: int
    host_keys: tuple[str, ...]


def rendered(commands: Sequence[str], env: Mapping[str, str]) -> str:
    """Text of the script: it shows each command before it runs it, and ends with the first that fails."""
    lines = ["set -e", f"cd {shlex.quote(str(SOURCE))}"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in env.items()]
    for command in commands:
        lines += [f"printf '%s\\n' {shlex.quote('$ ' + command.rstrip())}", command.rstrip()]
    return "\n".join(lines) + "\n"


def known_hosts(machine: Machine) -> str:
    """The machine's host keys, as ssh looks them up; anything but a key on one line is left out."""
    where = machine.host if machine.port == 22 else f"[{machine.host}]:{machine.port}"
    return "".join(f"{where} {key}\n" for key in machine.host_keys if _KEY.fullmatch(key))


def ssh_config(machine: Machine) -> str:
    """Make ``ssh -F FILE workspace`` open a shell on the machine, and on no other."""
    settings = {
        "HostName": machine.host,
        "Port": machine.port,
        "User": "root",
        "IdentityFile": KEY,
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": KNOWN_HOSTS,
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
    }
    return "Host workspace\n" + "".join(f"  {name} {value}\n" for name, value in settings.items())
