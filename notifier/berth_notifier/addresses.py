"""Which addresses a webhook may be sent to. Pure.

Everything but public addresses is refused (``berth_core.firewall.special``). An IPv6 address that carries an IPv4
address is refused as a form; where the allow-list has the form, what it carries must be allowed too.
"""

from dataclasses import dataclass
from ipaddress import IPv6Address

from berth_core.firewall import Network, special
from berth_core.firewall.special import Address


@dataclass(frozen=True)
class Policy:
    """``allowed`` wins over what is not public and over ``blocked``, which adds the cluster's own networks to that.

    Nothing is sent to the networks of ``special.NEVER`` and to ``machines``, whatever is allowed.
    """

    allowed: tuple[Network, ...] = ()
    blocked: tuple[Network, ...] = ()
    machines: tuple[Network, ...] = ()

    def refusal(self, address: Address) -> str | None:
        """Why nothing may be sent there; None where it may."""
        if isinstance(address, IPv6Address) and address.scope_id is not None:
            return "it has a scope"
        if (what := self._own_refusal(address)) is not None:
            return what
        carried = special.carried(address)
        if carried is not None and (what := self._own_refusal(carried)) is not None:
            return f"it carries an address that is {what}"
        return None

    def _own_refusal(self, address: Address) -> str | None:
        if (what := special.never(address)) is not None:
            return what
        if special.within(address, self.machines):
            return "in a network of machines"
        if special.within(address, self.allowed):
            return None
        if special.within(address, self.blocked):
            return "one of the cluster's own"
        return special.why_not_public(address)
