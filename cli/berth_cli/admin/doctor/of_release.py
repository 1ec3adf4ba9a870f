"""Checks whether the chart's objects exist and work. Pure."""

import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from ipaddress import IPv4Address
from typing import Any, Final

from berth_cli.admin.doctor.facts import Facts, Stored, Unseen
from berth_cli.admin.doctor.findings import Finding, Level, unseen
from berth_core import crdgen
from berth_core.firewall import Network, lies_in, parse_source
from berth_core.kube import conditions
from berth_core.kube.model import parse_time
from berth_core.kube.types import Object
from berth_core.leases.availability import QUARANTINED
from berth_core.machines import devices, placement
from berth_core.names import GROUP, LEASES_BUDGET
from berth_core.resources import KINDS, WorkspaceType
from berth_core.resources.workspacetype import EnvVar

CLOCK_SECONDS: Final = 5.0
"""Clock difference from which on the operator no longer acts on times."""
LEADER_SECONDS: Final = 15.0
PAGES: Final = dict.fromkeys(placement.FAULTS, "robot-at-an-address.md") | dict.fromkeys(devices.FAULTS, "devices.md")
"""Page of docs/how-to/lend by the reason why a machine is not lent."""
SOON: Final = timedelta(days=30)
_DOTTED: Final = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")


def definitions(facts: Facts) -> Iterator[Finding]:
    """The resources are served as this version of Berth knows them."""
    check = "resources (CRDs)"
    if isinstance(facts.definitions, Unseen):
        yield unseen(check, facts.definitions)
        return
    there = {one["metadata"]["name"]: one for one in facts.definitions}
    missing = [kind.KIND for kind in KINDS if f"{kind.PLURAL}.{GROUP}" not in there]
    old = [
        kind.KIND
        for kind in KINDS
        if (one := there.get(f"{kind.PLURAL}.{GROUP}")) and not covers(_served(one), _served(crdgen.definition(kind)))
    ]
    mend = "`helm upgrade` the release with this version's chart (clusterResources.create in one release)"
    if missing:
        yield Finding(check, Level.FAILED, f"not there: {', '.join(missing)}", mend)
    if old:
        yield Finding(check, Level.WARNING, f"not as this version has them: {', '.join(old)}", mend)
    if not missing and not old:
        yield Finding(check, Level.OK, f"{len(KINDS)} kinds as this version has them")


def _served(definition: Object) -> Object:
    spec: Object = definition["spec"]
    return {"scope": spec["scope"], "versions": [one["schema"] for one in spec["versions"] if one["served"]]}


def covers(live: Any, expected: Any) -> bool:
    """Tell whether all of ``expected`` is in ``live``, which may have more: defaults that the API server adds.

    >>> covers({"a": 1, "b": [{"c": 2, "d": 3}]}, {"b": [{"c": 2}]})
    True
    """
    if isinstance(expected, dict):
        return isinstance(live, dict) and all(
            key in live and covers(live[key], value) for key, value in expected.items()
        )
    if isinstance(expected, list):
        return isinstance(live, list) and len(live) == len(expected) and all(map(covers, live, expected))
    return bool(live == expected)


def processes(facts: Facts) -> Iterator[Finding]:
    """Each of Berth's processes runs."""
    if isinstance(facts.processes, Unseen):
        yield unseen("processes", facts.processes)
        return
    for name, process in facts.processes.items():
        if process is None:
            mend = "`helm list -A` shows releases: name its namespace with --namespace, or install Berth"
            yield Finding(name, Level.FAILED, f"there is no berth-{name} in namespace {facts.release}", mend)
            continue
        replicas, ready = process["spec"].get("replicas", 1), (process.get("status") or {}).get("readyReplicas", 0)
        if ready == replicas > 0:
            yield Finding(name, Level.OK, f"{ready} of {replicas} replicas are ready")
        else:
            level = Level.WARNING if ready else Level.FAILED
            mend = f"kubectl describe pods -n {facts.release} -l app.kubernetes.io/component={name}"
            yield Finding(name, level, f"{ready} of {replicas} replicas are ready", mend)


def leader(facts: Facts) -> Iterator[Finding]:
    """An operator leads."""
    if isinstance(facts.leader, Unseen):
        yield unseen("leader", facts.leader)
        return
    spec = ((facts.leader or {}).get("spec")) or {}
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    mend = f"kubectl logs -n {facts.release} -l app.kubernetes.io/component=operator"
    if not holder or not renewed:
        yield Finding("leader", Level.FAILED, "no operator leads: nothing starts, nothing ends", mend)
        return
    behind = (facts.now - parse_time(renewed)).total_seconds()
    if behind < -CLOCK_SECONDS:
        yield Finding(
            "clock of the operator",
            Level.FAILED,
            f"{holder} is {-behind:.0f} s ahead of the API server",
            "set the clocks of its node and of the API server's (NTP): until then nothing ends by time",
        )
    elif behind > LEADER_SECONDS:
        says = f"{holder} renewed {behind:.0f} s ago: it hangs, or its clock is behind the API server's"
        yield Finding("leader", Level.FAILED, says, f"{mend}; compare the clocks of its node and of the API server's")
    else:
        yield Finding("leader", Level.OK, str(holder))


def certificates(facts: Facts) -> Iterator[Finding]:
    """The agents' authority exists and does not expire soon."""
    check = "agents' authority"
    if isinstance(facts.authority, Unseen):
        yield unseen(check, facts.authority)
        return
    mend = "restore Secret berth-agent-ca from a backup, or `helm upgrade` the release, whose Job makes what is missing"
    if not facts.authority:
        yield Finding(check, Level.FAILED, "there is no Secret berth-agent-ca with a certificate", mend)
        return
    from cryptography import x509

    try:
        end = x509.load_pem_x509_certificate(facts.authority).not_valid_after_utc
    except ValueError:
        yield Finding(check, Level.FAILED, "tls.crt in Secret berth-agent-ca is no certificate", mend)
        return
    remaining = end - facts.now
    if remaining < SOON:
        says = f"its certificate {'ends' if remaining > timedelta(0) else 'ended'} at {end.isoformat()}"
        mend = "end all leases, delete Secret berth-agent-ca, `helm upgrade` the release and restart the operator"
        yield Finding(check, Level.WARNING if remaining > timedelta(0) else Level.FAILED, says, mend)
    else:
        yield Finding(check, Level.OK, f"valid until {end.date().isoformat()}")


def keys(facts: Facts) -> Iterator[Finding]:
    """The keys of tokens and webhooks exist."""
    check = "keys"
    if isinstance(facts.keys, Unseen):
        yield unseen(check, facts.keys)
        return
    missing = [name for name, there in facts.keys.items() if not there]
    if missing:
        mend = "restore them from a backup, or `helm upgrade` the release, whose Job makes what is missing"
        yield Finding(check, Level.FAILED, f"not there: {', '.join(missing)}", mend)
    else:
        yield Finding(check, Level.OK, "the keys of tokens and webhooks are there")


def drains(facts: Facts) -> Iterator[Finding]:
    """A drain waits for the leases on its node."""
    check = "drains"
    if isinstance(facts.budgets, Unseen):
        yield unseen(check, facts.budgets)
        return
    if missing := [namespace for namespace, there in facts.budgets.items() if not there]:
        says = f"no PodDisruptionBudget {LEASES_BUDGET} keeps drains from leases in {', '.join(missing)}"
        yield Finding(check, Level.FAILED, says, "`helm upgrade` the release, which makes what is missing")
    else:
        yield Finding(check, Level.OK, "they wait for the leases on their nodes")


def egress(facts: Stored) -> Iterator[Finding]:
    """Workspaces can reach the addresses that types and deployments give them."""
    check = "egress"
    types, deployments, closed = facts.types, facts.deployments, facts.values.closed
    for part in (types, deployments, closed):
        if isinstance(part, Unseen):
            yield unseen(check, part)
            return
    if isinstance(types, Unseen) or isinstance(deployments, Unseen) or isinstance(closed, Unseen):
        return
    public = [kind for kind in types if kind.spec.network.egress == "open" and not kind.spec.retired]
    cut_off = False
    for kind in public:
        own = [wd for wd in deployments if wd.spec.type == kind.spec.type_name]
        unreachable = _unreachable(kind, kind.spec.template.env, closed)
        for wd in own:
            # Its leases reach their own machine, whatever the type reaches.
            machine = wd.network.reached().networks if wd.network is not None else ()
            unreachable |= _unreachable(kind, wd.spec.overrides.env, closed, machine)
        if unreachable:
            cut_off = True
            says = (
                f"type {kind.spec.type_name}: its environment names {', '.join(sorted(unreachable))}, out of its reach"
            )
            mend = "name their networks in spec.network.allowed; instances.blockedCidrs and machineCidrs stay closed"
            yield Finding(check, Level.WARNING, says, mend)
    if not cut_off:
        names = ", ".join(kind.spec.type_name for kind in public) or "none"
        yield Finding(check, Level.OK, f"types that reach public addresses and what they name: {names}")


def _unreachable(
    kind: WorkspaceType, variables: Sequence[EnvVar], closed: Sequence[Network], machine: Sequence[Network] = ()
) -> set[str]:
    """Addresses in variables of a type's workspaces that these cannot reach; they reach those of ``machine``."""
    try:
        reached = kind.spec.network.reached(closed)
    except ValueError:
        return {"destinations of spec.network.allowed, which has no networks"}
    named = {text: parse_source(text) for one in variables for text in addresses(one.value)}
    inside = {text for text, one in named.items() if any(lies_in(one, other) for other in machine)}
    return {text for text, one in named.items() if text not in inside and not reached.reaches(one)}


def addresses(value: str) -> list[str]:
    """Return the IPv4 addresses in a text that could be another machine's.

    >>> addresses("tcp://192.168.7.4:30002, localhost 127.0.0.1")
    ['192.168.7.4']
    """
    texts = []
    for text in _DOTTED.findall(value):
        try:
            address = IPv4Address(text)
        except ValueError:
            continue
        if not (address.is_loopback or address.is_unspecified):
            texts.append(text)
    return texts


def machines(facts: Facts) -> Iterator[Finding]:
    """Deployments are available, or say why not."""
    check = "deployments"
    deployments = facts.deployments
    if isinstance(deployments, Unseen):
        yield unseen(check, deployments)
        return
    there = [wd for wd in deployments if wd.spec.dissolved is None]
    bad = [
        (wd, quarantine)
        for wd in there
        if (quarantine := conditions.find(wd.status.conditions, QUARANTINED)) is not None
        and quarantine.status == "True"
    ]
    for wd, quarantine in bad:
        name = wd.metadata.name
        word = "deployment release" if wd.status.lease is None else "release"
        mend = f"when it is well, or off: `berth {word} {name} --reason …`"
        yield Finding(
            check, Level.WARNING, f"{name} is in quarantine ({quarantine.reason}): {quarantine.message}", mend
        )
    for wd in there:
        online = conditions.find(wd.status.conditions, "Online")
        if online is not None and online.status == "False" and online.reason in PAGES:
            bad.append((wd, online))
            says = f"{wd.metadata.name} is not lent ({online.reason}): {online.message}"
            yield Finding(check, Level.WARNING, says, f"docs/how-to/lend/{PAGES[online.reason]} says what to correct")
    if not there:
        yield Finding(check, Level.WARNING, "there are no deployments", "`berth deployment add` makes one")
    elif not bad:
        yield Finding(check, Level.OK, f"{len(there)}, none in quarantine")
