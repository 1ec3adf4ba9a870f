"""Checks of the NetworkPolicies around one machine. Pure."""

from collections.abc import Iterator
from typing import Final

from berth_cli.admin.doctor.facts import Unseen
from berth_cli.admin.doctor.findings import Finding, Level, unseen
from berth_cli.admin.machines import openings
from berth_cli.admin.machines.facts import Facts
from berth_core import names, state
from berth_core.firewall.endpoints import endpoint_rules
from berth_core.kube import conditions
from berth_core.kube.types import Object
from berth_core.machines.placement import Grounds
from berth_core.resources.machines.network import MachineNetwork

VERSIONS: Final = frozenset({4, 6})


def own(facts: Facts) -> Iterator[Finding]:
    """The lease's NetworkPolicy names exactly the endpoints that the lease has."""
    check, instance, lease = "lease's NetworkPolicy", facts.lent.instance, facts.lent.wd.status.lease
    if instance is None and lease is not None and facts.endpoints:
        says = f"instance {lease.instance} of {lease.user} has the machine and cannot be read, or is not bound yet"
        yield Finding(check, Level.UNKNOWN, says, "repeat the command, as somebody who may read instances")
        return
    if instance is None or instance.network is None:
        if facts.endpoints:
            yield Finding(check, Level.OK, "no lease has endpoints of the machine, so that none is due")
        return
    if isinstance(facts.policies, Unseen) or isinstance(facts.grounds, Unseen):
        parts = (facts.policies, facts.grounds)
        yield from (unseen(check, part) for part in parts if isinstance(part, Unseen))
        return
    due = (
        names.instance_object(instance.public_id),
        names.warm_object(facts.lent.wd.public_id, facts.lent.wd.status.epoch),
    )
    policy = next((one for one in facts.policies if facts.is_of_the_lease(one) and _name(one) in due), None)
    if policy is not None:
        yield exact(check, policy, instance.network, facts.grounds)
    elif conditions.is_true(instance.status.conditions, state.READY):
        mend = "see that the operator runs (`berth doctor`): it makes the policy again"
        yield Finding(check, Level.FAILED, f"instance {instance.public_id} has none, and runs", mend)
    else:
        says = f"instance {instance.public_id} has none yet; it is not ready"
        yield Finding(check, Level.UNKNOWN, says, "repeat the command when it is ready")


def exact(check: str, policy: Object, network: MachineNetwork, grounds: Grounds) -> Finding:
    """Judge whether a lease's policy opens its endpoints, and nothing else where machines stand."""
    due = endpoint_rules(grounds.opened(network), VERSIONS)
    entries = openings.entries(policy)
    rest = [one for one in entries if one not in due and not openings.is_dns(one, grounds.resolvers)]
    parts = (openings.within(openings.opened(one), grounds.machines) for one in rest)
    wrong = next((part for part in parts if part is not None), None)
    mend = f"delete it (`kubectl delete networkpolicy {_place(policy)}`): the operator makes it again"
    if wrong is not None:
        says = f"{_name(policy)} opens {openings.text(wrong)} besides, where machines stand"
        return Finding(check, Level.FAILED, says, mend)
    if any(one not in entries for one in due):
        return Finding(check, Level.FAILED, f"{_name(policy)} does not open {openings.text(network.reached())}", mend)
    return Finding(check, Level.OK, f"{_name(policy)} opens these endpoints, and no other machine")


def others(facts: Facts) -> Iterator[Finding]:
    """No other NetworkPolicy opens an endpoint of the machine."""
    check, mine = "other NetworkPolicies", facts.endpoints
    if not mine:
        return
    if isinstance(facts.policies, Unseen):
        yield unseen(check, facts.policies)
        return
    rest = [one for one in facts.policies if not facts.is_of_the_lease(one)]
    bad = [_place(one) for one in rest if any(openings.opens(one, part) for part in mine)]
    if bad:
        says = f"{len(bad)} open it to pods that do not hold it: {'; '.join(bad[:3])}"
        mend = "delete what is not Berth's; for others see `berth doctor`, and instances.machineCidrs"
        yield Finding(check, Level.FAILED, says, mend)
    else:
        yield Finding(check, Level.OK, f"{len(rest)} in the workspace namespaces, none of which opens this machine")


def _name(policy: Object) -> str:
    return str(policy["metadata"]["name"])


def _place(policy: Object) -> str:
    return f"-n {policy['metadata']['namespace']} {_name(policy)}"
