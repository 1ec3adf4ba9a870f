"""Which address is probed for a deployment, and whether the operator connects there at all. Pure.

:mod:`berth_core.machines.reach` says where probes go.
"""

from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from berth_core.machines.reach import Networks, why_refused
from berth_core.resources import WorkspaceDeployment
from berth_core.resources.workspacedeployment import HttpHealth


@dataclass(frozen=True)
class Target:
    """A probe: an address in its canonical form, a port, and a request; None for a connection alone."""

    host: str
    port: int
    request: HttpHealth | None = None

    @property
    def authority(self) -> str:
        """Address and port as in a URL (RFC 3986)."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """Name the probe for people."""
        if self.request is None:
            return f"tcp {self.authority}"
        return f"GET {'https' if self.request.tls else 'http'}://{self.authority}{self.request.path}"


class Problem(NamedTuple):
    """Reason why nothing is probed: a word, and a sentence that says what to do."""

    reason: str
    message: str


def machine_address(wd: WorkspaceDeployment) -> str | None:
    """Address of a machine, the first of its first network; None where it has none.

    Raises:
        ValueError: what stands there is no network.

    """
    return str(ip_network(wd.network.addresses[0]).network_address) if wd.network is not None else None


def target_of(wd: WorkspaceDeployment, networks: Networks) -> Target | Problem | None:
    """Return the probe of a deployment, or why there is none; None where none is asked for."""
    health = wd.spec.health
    if health is None:
        return None
    try:
        literal = health.host or machine_address(wd)
        if literal is None:
            return Problem(
                "AddressMissing", "the probe has no address: set spec.machine.network.addresses or spec.health.host"
            )
        address = ip_address(literal)
    except ValueError as error:
        return Problem("AddressMissing", f"the probe has no address, since {error}: write one such as 192.0.2.40")
    if why := why_refused(address, networks):
        return Problem("AddressForbidden", f"{address} is not probed, since {why}")
    port = health.tcp or (health.http.port if health.http is not None else 0)
    return Target(str(address), port, None if health.tcp else health.http)
