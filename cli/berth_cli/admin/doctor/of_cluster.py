"""Checks whether Berth can keep its promises on this cluster. Pure."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from berth_cli.admin.doctor.facts import Facts, Stored, Unseen, environment
from berth_cli.admin.doctor.findings import Finding, Level, unseen
from berth_core import state
from berth_core.kube import conditions
from berth_core.kube.types import Object

OLDEST: Final = (1, 34)
CLOCK_SECONDS: Final = 5.0
ENFORCED: Final = "NetworkPolicyEnforced"


def version(facts: Facts) -> Iterator[Finding]:
    """The Kubernetes version is one that Berth supports."""
    match = re.match(r"v(\d+)\.(\d+)", facts.version)
    oldest = ".".join(map(str, OLDEST))
    if match is None:
        yield Finding("cluster version", Level.UNKNOWN, f"the cluster says {facts.version}", f"Berth needs {oldest}")
    elif (int(match[1]), int(match[2])) < OLDEST:
        mend = f"upgrade the cluster to {oldest} or later"
        yield Finding("cluster version", Level.FAILED, f"{facts.version} is older than {oldest}", mend)
    else:
        yield Finding("cluster version", Level.OK, facts.version)


def clock(facts: Facts) -> Iterator[Finding]:
    """The clock of this machine is exact enough to read times by."""
    off = (facts.here - facts.now).total_seconds()
    if abs(off) > CLOCK_SECONDS:
        says = f"this machine is {abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} the API server"
        mend = "set this machine's clock (NTP): ages, and how long leases last, are told by it"
        yield Finding("clock here", Level.WARNING, says, mend)
    else:
        yield Finding("clock here", Level.OK, "within 5 s of the API server's")


def enforcement(facts: Stored) -> Iterator[Finding]:
    """The cluster enforces NetworkPolicy."""
    check = "NetworkPolicy"
    types = facts.types
    if isinstance(types, Unseen):
        yield unseen(check, types)
        return
    entries = [conditions.find(kind.status.conditions, ENFORCED) for kind in types]
    by_status = {one.status: one for one in entries if one is not None}
    if "False" in by_status:
        mend = "install a network plugin that enforces NetworkPolicy (Calico, Cilium, kube-router …)"
        yield Finding(check, Level.FAILED, by_status["False"].message, mend)
    elif "True" in by_status:
        yield Finding(check, Level.OK, by_status["True"].message)
    else:
        says = by_status["Unknown"].message if by_status else "no type says whether it is enforced"
        mend = "make a type and wait for a minute; networkPolicy.probeInterval must not be `off`"
        yield Finding(check, Level.UNKNOWN, says, mend)


def sources(facts: Facts) -> Iterator[Finding]:
    """Source addresses stay real on the way to instances and to the API."""
    check = "source addresses"
    if isinstance(facts.services, Unseen):
        yield unseen(check, facts.services)
        return
    if isinstance(facts.front, Unseen):
        yield unseen(check, facts.front)
        return
    if isinstance(facts.ingresses, Unseen):
        yield unseen(check, facts.ingresses)
        return
    if isinstance(facts.processes, Unseen):
        yield unseen(check, facts.processes)
        return
    names = [one["metadata"]["name"] for one in facts.services if _loses_sources(one["spec"])]
    if names:
        yield Finding(
            check,
            Level.FAILED,
            f"{len(names)} Services of instances have not externalTrafficPolicy: Local ({', '.join(names[:3])})",
            "let nothing change Berth's Services: end these instances, the next ones get it back",
        )
    if facts.front is not None and _loses_sources(facts.front["spec"]):
        mend = "set the chart's api.service.externalTrafficPolicy to Local: first firewall rules let in a node else"
        yield Finding(check, Level.FAILED, "the API's Service hides its callers' addresses", mend)
    elif _is_behind_a_proxy(facts.ingresses) and not _trusts_proxies(facts.processes):
        mend = "set the chart's api.trustedProxies to the networks of the ingress controller's pods"
        yield Finding(check, Level.FAILED, "the API is behind an Ingress and trusts no proxy's X-Forwarded-For", mend)
    elif not names:
        yield Finding(check, Level.OK, f"{len(facts.services)} Services of instances, and the API's, keep them")


def _loses_sources(spec: Object) -> bool:
    return spec.get("type") in ("NodePort", "LoadBalancer") and spec.get("externalTrafficPolicy") != "Local"


def _is_behind_a_proxy(ingresses: Sequence[Object]) -> bool:
    return any(one["metadata"]["name"].startswith("berth") for one in ingresses)


def _trusts_proxies(processes: Mapping[str, Object | None]) -> bool:
    return bool(environment(processes["api"], "api").get("BERTH_TRUSTED_PROXIES"))


def tun(facts: Facts) -> Iterator[Finding]:
    """VPNs get /dev/net/tun."""
    if isinstance(facts.processes, Unseen):
        yield unseen("TUN", facts.processes)
        return
    vpns = facts.vpns
    if isinstance(vpns, Unseen):
        yield unseen("TUN", vpns)
        return
    mode = environment(facts.processes["operator"], "operator").get("BERTH_VPN_TUN")
    if mode is None:
        yield Finding("TUN", Level.OK, "no VPNs are offered (vpn.enabled)")
        return
    pairs = [(one, conditions.find(one.status.conditions, state.VPN_READY)) for one in vpns]
    bad = [(one, entry) for one, entry in pairs if entry is not None and entry.status == "False"]
    ready = sum(1 for _, entry in pairs if entry is not None and entry.status == "True")
    for one, entry in bad:
        mend = (
            f"kubectl logs -n {one.metadata.namespace} i-{one.public_id} -c vpn;"
            " docs/how-to/vpn.md has other ways of vpn.tun"
        )
        says = f"the VPN of instance {one.public_id} is not ready ({entry.reason}): {entry.message}"
        yield Finding("TUN", Level.WARNING, says, mend)
    if ready and not bad:
        yield Finding("TUN", Level.OK, f"vpn.tun is {mode}; {ready} VPNs are up")
    elif not bad:
        says = f"vpn.tun is {mode}; no VPN runs now that would show whether it works"
        yield Finding("TUN", Level.UNKNOWN, says, "`berth new TYPE --vpn --wait` tries it")
