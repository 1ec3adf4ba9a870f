"""CEL rules of crds/*.yaml as Python, keyed by their text. A test fails when a rule has no predicate, or none needs it.

A rule that reads ``oldSelf`` is asked only where there is an old value (Kubernetes: transition rules).
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from .trees import MISSING, at, same

Predicate = Callable[[Any, Any], bool]


@dataclass(frozen=True)
class Rule:
    """A rule: whether it needs an old value, and whether it holds for a value and the old one."""

    transition: bool
    holds: Predicate


def predicate(text: str) -> Rule:
    """Return a rule by its text.

    Raises:
        KeyError: tests/sim/store/rules.py does not have it.

    """
    words = normal(text)
    if words not in RULES:
        raise KeyError(f"crds/ has a CEL rule without predicate, add it to tests/sim/store/rules.py: {words}")
    return Rule("oldSelf" in words, RULES[words])


def normal(text: str) -> str:
    """Return a rule without line breaks."""
    return " ".join(text.split())


def _get(value: Any, path: str, default: Any = None) -> Any:
    found = at(value, tuple(path.split(".")))
    return default if found is MISSING else found


def _has(value: Any, path: str) -> bool:
    return at(value, tuple(path.split("."))) is not MISSING


def _equal(path: str) -> Predicate:
    return lambda new, old: same(at(new, tuple(path.split("."))), at(old, tuple(path.split("."))))


def _still(path: str) -> Predicate:
    """Set once."""
    return lambda new, old: not _has(old, path) or (_has(new, path) and same(_get(new, path), _get(old, path)))


def _moment(value: Any) -> Any:
    """Return a time as one, and anything else as it is."""
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _never_less(path: str) -> Predicate:
    return lambda new, old: (
        not _has(old, path) or (_has(new, path) and bool(_moment(_get(new, path)) >= _moment(_get(old, path))))
    )


def _queued_moves_back(new: Any, old: Any) -> bool:
    if not _has(old, "queued"):
        return True
    places = [_get(value, "queued") for value in (new, old)]
    if None in places:
        return False
    (since, version), (was_since, was_version) = ((_moment(place["since"]), place["version"]) for place in places)
    return bool(since >= was_since and version >= was_version)


def _nonce_stays_at_the_end(new: Any, old: Any) -> bool:
    if not _has(old, "nonce"):
        return True
    return _has(new, "nonce") and (new["nonce"] == old["nonce"] or not _has(old, "reason"))


def _returned_is_unused(lease: str, known: str) -> Predicate:
    def holds(new: Any, _: Any) -> bool:
        if not _has(new, "returned") or not _has(new, known):
            return True
        # A comparison with an absent field is an error, which counts only where nothing else differs.
        of_lease = ((name, _get(new, f"{lease}{name}")) for name in ("epoch", "deployment"))
        return any(value is not None and value != _get(new, f"returned.{name}") for name, value in of_lease)

    return holds


def _warm_is_for_the_next(new: Any, old: Any) -> bool:
    if same(_get(new, "warm"), _get(old, "warm")):
        return True
    is_next = not _has(new, "warm") or _get(new, "warm.epoch") == _get(new, "epoch", 0) + 1
    return not _has(new, "lease") and bool(is_next)


def _as_present(path: str) -> Predicate:
    return lambda new, old: _has(new, path) == _has(old, path)


def _one_of(one: str, other: str) -> Predicate:
    return lambda new, _: _has(new, one) != _has(new, other)


def _is_ip(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    # CEL's isIP takes neither zones nor IPv4 addresses in IPv6 (Kubernetes: CEL, IP library).
    return "%" not in text and getattr(address, "ipv4_mapped", None) is None


def _is_cidr(text: str) -> bool:
    address, slash, length = text.partition("/")
    if not slash or not re.fullmatch(r"0|[1-9][0-9]*", length) or not _is_ip(address):
        return False
    return int(length) <= ipaddress.ip_address(address).max_prefixlen


_URL: Final = re.compile(r'^(https?|git)://[A-Za-z0-9._:\[\]-]+(/[!"$->@-~]*)?\Z')
_PROJECT_URL: Final = re.compile(r'^((https?|git)://|ssh://([A-Za-z0-9_.-]+@)?)[A-Za-z0-9._:\[\]-]+(/[!"$->@-~]*)?\Z')
_STATUS_URL: Final = re.compile(r"^https?://[^/@?]+(/[^?]*)?\Z")
_PATH: Final = re.compile(r"^/?[A-Za-z0-9._+~@-]+(/[A-Za-z0-9._+~@-]+)*/?\Z")
_NO_PATH: Final = re.compile(
    r"(^|/)\.\.?(/|\Z)|^/(bin|boot|dev|etc|lib(32|64|x32)?|proc|root/?\Z|run|sbin|sys|usr|var)(/|\Z)"
)
_KINDS_OF_VOLUMES: Final = ("emptyDir", "configMap", "persistentVolumeClaim", "hostPath")


def _epoch(obj: Any) -> Any:
    return _get(obj, "status.epoch", 0)


def _epoch_never_shrinks(new: Any, old: Any) -> bool:
    return bool(_epoch(old) == 0 or _get(new, "status.epoch", -1) >= _epoch(old))


def _lease_stays(new: Any, old: Any) -> bool:
    lease = _get(new, "status.lease")
    return lease is None or not _has(old, "status.lease") or same(lease, _get(old, "status.lease"))


def _taking_adds_one(new: Any, old: Any) -> bool:
    if not _has(new, "status.lease") or _has(old, "status.lease"):
        return True
    return bool(_get(new, "status.epoch") == _epoch(old) + 1)


def _held_epoch_stays(new: Any, old: Any) -> bool:
    return not _has(old, "status.lease") or _epoch(new) == _epoch(old)


def _allowed_needs_egress(new: Any, _: Any) -> bool:
    return not _get(new, "spec.network.allowed") or _get(new, "spec.network.egress") != "none"


def _allowed_are_networks(new: Any, _: Any) -> bool:
    return all(_is_cidr(network) for network in _get(new, "spec.network.allowed") or ())


def _is_of_a_machine(text: str) -> bool:
    if not _is_cidr(text):
        return False
    network = ipaddress.ip_interface(text).network
    least = 24 if network.version == 4 else 64
    return network.prefixlen >= least and ipaddress.ip_interface(text).ip == network.network_address


def _machine_has_networks(new: Any, _: Any) -> bool:
    return all(_is_of_a_machine(address) for address in new["addresses"])


def _ports_are_ranges(new: Any, _: Any) -> bool:
    return all(port.get("endPort", port["port"]) >= port["port"] for port in new.get("ports") or ())


def _one_way_to_it(new: Any, _: Any) -> bool:
    return not _has(new, "network") or not _has(new, "connector")


def _ports_of_its_own(new: Any, _: Any) -> bool:
    ports = [port["port"] for port in new["ports"]]
    return len(set(ports)) == len(ports) and not {1194, 8470} & set(ports)


def _machine_stays(new: Any, old: Any) -> bool:
    return not _has(old, "epoch") or (
        _has(new, "machine") == _has(old, "machine") and (not _has(new, "machine") or _equal("machine")(new, old))
    )


def _one_source(new: Any, _: Any) -> bool:
    volumes = _get(new, "spec.template.volumes") or ()
    return all(sum(kind in volume for kind in _KINDS_OF_VOLUMES) == 1 for volume in volumes)


def _default_within_longest(new: Any, _: Any) -> bool:
    limits = _get(new, "spec.limits", {})
    both = "maxExpireAfter" in limits and "defaultExpireAfter" in limits
    return not both or bool(limits["defaultExpireAfter"] <= limits["maxExpireAfter"])


def _status_stays(new: Any, old: Any) -> bool:
    return "status" not in old or "status" in new


def _terminate_stays(new: Any, old: Any) -> bool:
    return not old.get("terminate") or bool(new.get("terminate"))


def _cancel_within_attempts(new: Any, _: Any) -> bool:
    return "cancel" not in new or "attempt" not in new or new["cancel"] <= new["attempt"]


_ONCE: Final = "has(self.{0}) == has(oldSelf.{0}) && (!has(self.{0}) || self.{0} == oldSelf.{0})"
RULES: Final[dict[str, Predicate]] = {
    "self == oldSelf": same,
    "self >= oldSelf": lambda new, old: bool(new >= old),
    **{_ONCE.format(name): _equal(name) for name in ("project", "user", "branch", "commit", "priority")},
    **{
        f"has(self.{name}) == has(oldSelf.{name})": _as_present(name)
        for name in (
            "workspaceType",
            "deployments",
            "claim",
            "user",
            "requesterAddress",
            "sshKeys",
            "vpn",
            "keepAlive",
            "repo",
        )
    },
    **{f"self.{name} == oldSelf.{name}": _equal(name) for name in ("name", "user", "repoURL")},
    **{f"self.{name} == oldSelf.{name}": _equal(name) for name in ("spec", "spec.user", "spec.type", "spec.typeName")},
    "!has(oldSelf.spec.tokensValidAfter) || (has(self.spec.tokensValidAfter) && self.spec.tokensValidAfter >="
    " oldSelf.spec.tokensValidAfter)": _never_less("spec.tokensValidAfter"),
    "has(self.branch) || has(self.commit)": lambda new, _: "branch" in new or "commit" in new,
    "!has(oldSelf.cancel) || (has(self.cancel) && self.cancel >= oldSelf.cancel)": _never_less("cancel"),
    "!has(self.cancel) || !has(self.attempt) || self.cancel <= self.attempt": _cancel_within_attempts,
    "!has(oldSelf.status) || !has(oldSelf.status.attempts) || (has(self.status) && has(self.status.attempts) &&"
    " self.status.attempts >= oldSelf.status.attempts)": _never_less("status.attempts"),
    "isCIDR(self.spec.source)": lambda new, _: _is_cidr(new["spec"]["source"]),
    "has(self.tcp) != has(self.http)": _one_of("tcp", "http"),
    "isIP(self)": lambda new, _: _is_ip(new),
    "!has(oldSelf.status) || has(self.status)": _status_stays,
    "has(self.workspaceType) != has(self.deployments)": _one_of("workspaceType", "deployments"),
    "has(self.spec.workspaceType) != has(self.spec.deployments)": _one_of("spec.workspaceType", "spec.deployments"),
    "!has(oldSelf.terminate) || !oldSelf.terminate || (has(self.terminate) && self.terminate)": _terminate_stays,
    r"""self.matches(r'^(https?|git)://[A-Za-z0-9._:\[\]-]+(/[!"$->@-~]*)?$')""": lambda new, _: bool(_URL.search(new)),
    r"""self.matches(r'^((https?|git)://|ssh://([A-Za-z0-9_.-]+@)?)[A-Za-z0-9._:\[\]-]+(/[!"$->@-~]*)?$')""": (
        lambda new, _: bool(_PROJECT_URL.search(new))
    ),
    "self.matches(r'^https?://[^/@?]+(/[^?]*)?$')": lambda new, _: bool(_STATUS_URL.search(new)),
    "size(self) <= 255 && self.matches(r'^/?[A-Za-z0-9._+~@-]+(/[A-Za-z0-9._+~@-]+)*/?$') && "
    r"!self.matches(r'(^|/)\.\.?(/|$)|^/(bin|boot|dev|etc|lib(32|64|x32)?|proc|root/?$|run|sbin|sys|usr|var)(/|$)')": (
        lambda new, _: len(new) <= 255 and bool(_PATH.search(new)) and not _NO_PATH.search(new)
    ),
    "!has(oldSelf.epoch) || (has(self.epoch) && self.epoch == oldSelf.epoch)": _still("epoch"),
    "!has(self.network) || !has(self.connector)": _one_way_to_it,
    "self.ports.all(p, !(p.port in [1194, 8470]) && self.ports.exists_one(q, q.port == p.port))": _ports_of_its_own,
    "!has(oldSelf.epoch) || (has(self.machine) == has(oldSelf.machine) && (!has(self.machine) || self.machine =="
    " oldSelf.machine))": _machine_stays,
    "self.addresses.all(a, isCIDR(a) && cidr(a) == cidr(a).masked() && cidr(a).prefixLength() >="
    " (cidr(a).ip().family() == 4 ? 24 : 64))": _machine_has_networks,
    "!has(self.ports) || self.ports.all(p, !has(p.endPort) || p.endPort >= p.port)": _ports_are_ranges,
    "!has(oldSelf.queued) || (has(self.queued) && self.queued.since >= oldSelf.queued.since && self.queued.version"
    " >= oldSelf.queued.version)": _queued_moves_back,
    "!has(oldSelf.nonce) || (has(self.nonce) && (self.nonce == oldSelf.nonce || !has(oldSelf.reason)))": (
        _nonce_stays_at_the_end
    ),
    "has(self.warm) == has(oldSelf.warm) && (!has(self.warm) || self.warm == oldSelf.warm) || !has(self.lease) &&"
    " (!has(self.warm) || self.warm.epoch == (has(self.epoch) ? self.epoch : 0) + 1)": _warm_is_for_the_next,
    "!has(oldSelf.returned) || has(self.returned)": lambda new, old: not _has(old, "returned") or _has(new, "returned"),
    "!has(self.returned) || !has(self.epoch) || self.returned.epoch != self.epoch || self.returned.deployment !="
    " self.deployment": _returned_is_unused("", "epoch"),
    "!has(self.returned) || !has(self.grant) || self.returned.epoch != self.grant.epoch || self.returned.deployment !="
    " self.grant.deployment": _returned_is_unused("grant.", "grant"),
    "!has(oldSelf.endTime) || (has(self.endTime) && self.endTime == oldSelf.endTime)": _still("endTime"),
    "self.metadata.name == self.spec.sha256": lambda new, _: bool(new["metadata"]["name"] == new["spec"]["sha256"]),
    "!has(oldSelf.status) || !has(oldSelf.status.grant) || (has(self.status) && has(self.status.grant) &&"
    " self.status.grant == oldSelf.status.grant)": _still("status.grant"),
    "!has(oldSelf.spec.dissolved) || has(self.spec.dissolved)": (
        # has() of what cannot be read is an error too, and a readable value is a text.
        lambda new, old: not _has(old, "spec.dissolved") or isinstance(_get(new, "spec.dissolved"), str)
    ),
    "!has(oldSelf.status) || !has(oldSelf.status.epoch) || oldSelf.status.epoch == 0 || (has(self.status) &&"
    " has(self.status.epoch) && self.status.epoch >= oldSelf.status.epoch)": _epoch_never_shrinks,
    "!has(oldSelf.status) || !has(oldSelf.status.lease) || !has(self.status) || !has(self.status.lease) ||"
    " self.status.lease == oldSelf.status.lease": _lease_stays,
    "!(has(self.status) && has(self.status.lease)) || (has(oldSelf.status) && has(oldSelf.status.lease)) ||"
    " self.status.epoch == (has(oldSelf.status) && has(oldSelf.status.epoch) ? oldSelf.status.epoch : 0) + 1": (
        _taking_adds_one
    ),
    "!(has(oldSelf.status) && has(oldSelf.status.lease)) || (has(self.status) && has(self.status.epoch) ?"
    " self.status.epoch : 0) == (has(oldSelf.status) && has(oldSelf.status.epoch) ? oldSelf.status.epoch : 0)": (
        _held_epoch_stays
    ),
    "!has(self.spec.network) || !has(self.spec.network.allowed) || self.spec.network.allowed.size() == 0 ||"
    " self.spec.network.egress != 'none'": _allowed_needs_egress,
    "!has(self.spec.network) || !has(self.spec.network.allowed) || self.spec.network.allowed.all(c, isCIDR(c))": (
        _allowed_are_networks
    ),
    "!has(self.spec.template.volumes) || self.spec.template.volumes.all(v, (has(v.emptyDir) ? 1 : 0) +"
    " (has(v.configMap) ? 1 : 0) + (has(v.persistentVolumeClaim) ? 1 : 0) + (has(v.hostPath) ? 1 : 0) == 1)": (
        _one_source
    ),
    "!has(self.spec.limits) || !has(self.spec.limits.maxExpireAfter) || !has(self.spec.limits.defaultExpireAfter) ||"
    " self.spec.limits.defaultExpireAfter <= self.spec.limits.maxExpireAfter": _default_within_longest,
}
