"""Checks of the promises about one machine, and of what they leave open. Pure."""

from collections.abc import Callable, Iterator
from typing import Final

from berth_cli.admin.doctor import of_cluster
from berth_cli.admin.doctor.facts import Stored, Unseen, Values
from berth_cli.admin.doctor.findings import Finding, Level, unseen
from berth_cli.admin.doctor.summary import Held
from berth_cli.admin.machines import of_policies, openings
from berth_cli.admin.machines.facts import Facts
from berth_core.firewall import Endpoints
from berth_core.kube import conditions
from berth_core.machines.placement import FAULTS, WALLED
from berth_core.machines.sharing import Claimant, claimant, in_use
from berth_core.reasons.deployment import ONLINE, REACHABLE

GUIDE: Final = "docs/how-to/lend/robot-at-an-address.md says more"


def findings(facts: Facts) -> list[Finding]:
    """All findings, in the order of the checks."""
    return [finding for check in CHECKS for finding in check(facts)]


def addresses(facts: Facts) -> Iterator[Finding]:
    """The machine's addresses lie where machines stand, and may be lent."""
    check, network = "addresses", facts.lent.wd.network
    online = conditions.find(facts.lent.wd.status.conditions, ONLINE)
    if network is None:
        mend = "name its endpoints in spec.machine.network, where it has an address of its own"
        yield Finding(check, Level.WARNING, "the deployment names none: no wall stands around its machine", mend)
    elif isinstance(facts.grounds, Unseen):
        yield unseen(check, facts.grounds)
    elif (fault := facts.grounds.fault(network)) is not None:
        yield Finding(check, Level.FAILED, fault.message, f"until then it is not lent; {GUIDE}")
    elif online is not None and online.status == "False" and online.reason in FAULTS:
        yield Finding(check, Level.FAILED, online.message, f"until then it is not lent; {GUIDE}")
    else:
        yield Finding(check, Level.OK, f"{openings.text(network.reached())}, inside of instances.machineCidrs")


def sharing(facts: Facts) -> Iterator[Finding]:
    """No other deployment or lease has an endpoint of the machine."""
    check, wd = "other deployments", facts.lent.wd
    if not facts.endpoints:
        return
    if isinstance(facts.others, Unseen):
        yield unseen(check, facts.others)
        return
    this = claimant(wd, own=True)
    network = facts.lent.instance.network if facts.lent.instance is not None else None
    held = network.reached() if network is not None else None
    both = [one for one in facts.others if _overlap(one.held, held)]
    rivals = [one for one in facts.others if _overlap(one.named, this.named)]
    if both:
        says = f"leases of {_names(both)} have endpoints that the present lease has too"
        yield Finding(check, Level.FAILED, says, "end one of the leases: `berth release DEPLOYMENT`")
    elif (fault := in_use(this, facts.others)) is not None:
        yield Finding(check, Level.FAILED, fault.message, "until then it is not lent")
    elif rivals:
        says = f"{_names(rivals)} names endpoints of this machine too, and is not lent"
        yield Finding(check, Level.WARNING, says, "give each deployment addresses or ports of its own")
    else:
        yield Finding(check, Level.OK, "none has an endpoint of this machine")


def enforcement(facts: Facts) -> Iterator[Finding]:
    """The cluster enforces NetworkPolicy for pods of the type."""
    if facts.type is None:
        says = f"there is no type {facts.lent.wd.spec.type}"
        yield Finding("NetworkPolicy", Level.FAILED, says, "make the WorkspaceType, or the deployment is not lent")
        return
    nothing = Unseen("not looked at")
    held = (
        Held(unseen={"WorkspaceType": facts.type.why}) if isinstance(facts.type, Unseen) else Held(types=[facts.type])
    )
    yield from of_cluster.enforcement(Stored(Values(nothing, nothing, nothing), held))


def walls(facts: Facts) -> Iterator[Finding]:
    """The ruleset in the pod holds machines, beside the NetworkPolicy."""
    if facts.lent.wd.network is None:
        return
    entry = conditions.find(facts.lent.wd.status.conditions, WALLED)
    if entry is None:
        mend = "see that the operator runs (`berth doctor`)"
        yield Finding("ruleset in the pod", Level.UNKNOWN, "the operator has not looked at it yet", mend)
    elif entry.status == "True":
        yield Finding("ruleset in the pod", Level.OK, entry.message)
    else:
        mend = "take privileged, NET_ADMIN, NET_RAW and SYS_ADMIN from the type's template"
        yield Finding("ruleset in the pod", Level.WARNING, entry.message, mend)


def health(facts: Facts) -> Iterator[Finding]:
    """Somebody asks whether the machine answers."""
    check, wd = "health", facts.lent.wd
    entry = conditions.find(wd.status.conditions, REACHABLE)
    if wd.spec.health is None:
        mend = "set spec.health, so that a machine that is switched off is lent to nobody (docs/how-to/presence.md)"
        yield Finding(check, Level.WARNING, "spec.health is not set: nobody asks whether the machine answers", mend)
    elif entry is None or entry.status == "Unknown":
        says = entry.message if entry is not None else "the operator has not asked yet"
        yield Finding(
            check, Level.UNKNOWN, says, "wait for the first probe; see that the operator runs (`berth doctor`)"
        )
    elif entry.status == "False":
        yield Finding(check, Level.WARNING, f"{entry.reason}: {entry.message}", "look after the machine")
    else:
        asked = wd.status.lease is None or wd.spec.health.during_lease
        yield Finding(check, Level.OK, entry.message + ("" if asked else "; during a lease nobody asks"))


def left_open(facts: Facts) -> Iterator[Finding]:
    """Name the ways to the machine that Berth does not hold."""
    mine = facts.endpoints
    if not mine:
        return
    networks = list(dict.fromkeys(network for one in mine for network in one.networks))
    where = ", ".join(map(str, networks))
    yield Finding(
        "pods of others",
        Level.OPEN,
        f"pods that are not Berth's reach {where} where nothing stops them",
        "deny them that by a NetworkPolicy in their namespace",
    )
    yield Finding(
        "pods with hostNetwork",
        Level.OPEN,
        f"they reach {where} as their node does: no NetworkPolicy holds for them",
        "let nobody but administrators make such pods (Pod Security: baseline)",
    )
    says = f"a login on a node reaches {where}"
    yield Finding("nodes", Level.OPEN, says, "let nobody but administrators log in there")
    mend = "on the router before the machine, let nothing through but the cluster"
    if not isinstance(facts.cluster, Unseen):
        rules = "; ".join(openings.router_rules(networks, facts.cluster))
        mend += f", such as by these rules in its own table and chain: {rules}"
    yield Finding("hosts of the lab", Level.OPEN, f"they reach {where} as your network lets them", mend)


CHECKS: Final[tuple[Callable[[Facts], Iterator[Finding]], ...]] = (
    addresses,
    sharing,
    of_policies.own,
    of_policies.others,
    enforcement,
    walls,
    health,
    left_open,
)


def _overlap(one: Endpoints | None, other: Endpoints | None) -> bool:
    return one is not None and other is not None and one.overlaps(other)


def _names(claimants: list[Claimant]) -> str:
    return ", ".join(f"{one.namespace}/{one.name}" for one in claimants[:3])
