"""Compiles a holder's ordered rules to an nftables ruleset, a set of networks, and a NetworkPolicy.

Everything here is pure: no I/O, no clock. docs/explanation/firewall.md says what the results guarantee.
"""

from berth_core.firewall import special
from berth_core.firewall.cidrs import IPBlock, accepted_set, ip_blocks
from berth_core.firewall.endpoints import NO_MACHINES, Endpoints, Machines, PortRange
from berth_core.firewall.model import Action, Network, Rule, lies_in, parse_action, parse_network, parse_source
from berth_core.firewall.networkpolicy import (
    Egress,
    OperatorPods,
    PolicyRequest,
    Sources,
    egress_rules,
    network_policy,
)
from berth_core.firewall.ruleset import Ports, Tunnel, closed_ruleset, compile_ruleset, digest_of, ruleset_body, stamp

__all__ = [
    "NO_MACHINES",
    "Action",
    "Egress",
    "Endpoints",
    "IPBlock",
    "Machines",
    "Network",
    "OperatorPods",
    "PolicyRequest",
    "PortRange",
    "Ports",
    "Rule",
    "Sources",
    "Tunnel",
    "accepted_set",
    "closed_ruleset",
    "compile_ruleset",
    "digest_of",
    "egress_rules",
    "ip_blocks",
    "lies_in",
    "network_policy",
    "parse_action",
    "parse_network",
    "parse_source",
    "ruleset_body",
    "special",
    "stamp",
]
