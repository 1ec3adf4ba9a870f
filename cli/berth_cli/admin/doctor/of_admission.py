"""Checks for objects older than the admission policies, which would refuse them if they were made now. Pure."""

from collections.abc import Iterator
from typing import Final

from berth_cli.admin.doctor.facts import Stored, Unseen
from berth_cli.admin.doctor.findings import Finding, Level, unlisted, unseen
from berth_cli.admin.doctor.summary import Names
from berth_cli.admin.doctor.validation import WORKLOADS
from berth_core import overrides
from berth_core.resources import KINDS

ALL_KINDS: Final = tuple(kind.KIND for kind in KINDS)


def readable(facts: Stored) -> Iterator[Finding]:
    """All resources can be read by this version."""
    check = "readable"
    yield from unlisted(check, facts.held.unseen, ALL_KINDS)
    if unreadable := facts.held.unreadable:
        mend = "correct them with kubectl edit, or delete them: they count as docs/how-to/operations.md says until then"
        yield Finding(check, Level.WARNING, f"{unreadable.count} cannot be read: {unreadable}", mend)
    elif not any(kind in facts.held.unseen for kind in ALL_KINDS):
        yield Finding(check, Level.OK, "all resources can be read")


def marks(facts: Stored) -> Iterator[Finding]:
    """No user's resources look like objects that Berth makes."""
    check = "names and labels"
    yield from unlisted(check, facts.held.unseen, ALL_KINDS)
    if lookalikes := facts.held.foreign:
        mend = "they go on; make them again under other names, without labels, annotations and owners of berth.dev"
        yield Finding(check, Level.WARNING, f"{lookalikes.count} look like Berth's own: {lookalikes}", mend)
    elif not any(kind in facts.held.unseen for kind in ALL_KINDS):
        yield Finding(check, Level.OK, "no user's resource looks like Berth's own")


def workloads(facts: Stored) -> Iterator[Finding]:
    """Nothing but Berth's pods runs in the workspace namespaces."""
    check = "workloads"
    yield from unlisted(check, facts.held.unseen, WORKLOADS)
    if foreign := facts.held.workloads:
        mend = "move them to another namespace: they run on, but in a workspace namespace no new pods are made for them"
        yield Finding(check, Level.WARNING, f"{foreign.count} are not Berth's: {foreign}", mend)
    elif not any(kind in facts.held.unseen for kind in WORKLOADS):
        yield Finding(check, Level.OK, "the workspace namespaces have Berth's workloads only")


def openings(facts: Stored) -> Iterator[Finding]:
    """NetworkPolicies in the workspace namespaces are Berth's, or only close."""
    check = "openings"
    yield from unlisted(check, facts.held.unseen, ["NetworkPolicy"])
    if policies := facts.held.openings:
        mend = "delete them, or take their rules out: they open what Berth closes"
        yield Finding(
            check, Level.WARNING, f"{policies.count} NetworkPolicies with rules are not Berth's: {policies}", mend
        )
    elif "NetworkPolicy" not in facts.held.unseen:
        yield Finding(check, Level.OK, "NetworkPolicies with rules are Berth's only")


def added(facts: Stored) -> Iterator[Finding]:
    """Overrides of deployments only add to their type's template."""
    check = "overrides"
    types, deployments = facts.types, facts.deployments
    if isinstance(types, Unseen):
        yield unseen(check, types)
        return
    if isinstance(deployments, Unseen):
        yield unseen(check, deployments)
        return
    templates = {(one.metadata.namespace, one.spec.type_name): one.spec.template for one in types}
    wrong = {
        wd.metadata.name: paths
        for wd in deployments
        if (template := templates.get((wd.metadata.namespace, wd.spec.type))) is not None
        and (paths := overrides.conflicts(template, wd.spec.overrides))
    }
    for name, paths in wrong.items():
        mend = f"take that out of spec.overrides of {name}, or change the type's template: it is not leased until then"
        yield Finding(check, Level.FAILED, f"overrides of {name} would change its type's {', '.join(paths)}", mend)
    if not wrong:
        yield Finding(check, Level.OK, f"overrides of {len(deployments)} deployments only add to their types")


def runtime_classes(facts: Stored) -> Iterator[Finding]:
    """Types name RuntimeClasses that the values allow."""
    check = "RuntimeClasses"
    types, allowed = facts.types, facts.values.runtime_classes
    if isinstance(types, Unseen):
        yield unseen(check, types)
        return
    if isinstance(allowed, Unseen):
        yield unseen(check, allowed)
        return
    offenders = Names()
    for kind in types:
        name = kind.spec.template.runtime_class_name
        if allowed and name and name not in allowed:
            offenders.add(f"type {kind.spec.type_name} ({name})")
    if offenders:
        mend = "they get no pods: name another one, or add theirs to instances.allowedRuntimeClasses"
        yield Finding(check, Level.WARNING, f"{offenders.count} name one that no value allows: {offenders}", mend)
    else:
        yield Finding(check, Level.OK, "types name what the values allow")
