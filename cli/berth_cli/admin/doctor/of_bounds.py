"""Checks for objects older than the bounds of kinds and quotas, which would refuse them now. Pure."""

from collections.abc import Iterator

from berth_cli.admin.doctor.facts import COUNTED, Stored, Unseen
from berth_cli.admin.doctor.findings import Finding, Level, unlisted, unseen
from berth_cli.admin.doctor.of_admission import ALL_KINDS
from berth_cli.admin.doctor.summary import Names
from berth_core.resources import KINDS

PLURALS = {kind.PLURAL: kind.KIND for kind in KINDS} | {plural: plural for plural in COUNTED}
"""Keys of bounded plurals in ``Held.unseen``, which says why lists could not be read."""


def fields(facts: Stored) -> Iterator[Finding]:
    """Fields of resources are valid by the present schemas of their kinds."""
    check = "fields"
    yield from unlisted(check, facts.held.unseen, ALL_KINDS)
    if invalid := facts.held.refused:
        mend = "they go on; before a restore from an export, correct them there as `kubectl explain` says"
        yield Finding(check, Level.WARNING, f"{invalid.count} do not meet the present schema: {invalid}", mend)
    elif not any(kind in facts.held.unseen for kind in ALL_KINDS):
        yield Finding(check, Level.OK, "all resources meet the present schema")


def counts(facts: Stored) -> Iterator[Finding]:
    """Workspace namespaces hold no more objects than their quotas."""
    check = "quotas"
    most = facts.values.most
    if isinstance(most, Unseen):
        yield unseen(check, most)
        return
    bounded = [PLURALS[plural] for plural in most if plural in PLURALS]
    yield from unlisted(check, facts.held.unseen, bounded)
    if others := sorted(most.keys() - PLURALS.keys()):
        yield unseen(check, Unseen(f"{', '.join(others)} of bounds.quota: kubectl describe resourcequota counts them"))
    full = Names()
    for (namespace, plural), count in sorted(facts.held.counts.items()):
        if count >= most.get(plural, count + 1):
            full.add(f"{namespace} has {count} {plural}, and {most[plural]} are its bound")
    if full:
        mend = "none can be made there until there are fewer; delete some, or raise bounds.objects or bounds.quota"
        yield Finding(check, Level.WARNING, str(full), mend)
    elif not others and not any(kind in facts.held.unseen for kind in bounded):
        yield Finding(check, Level.OK, "all kinds are within their bounds")
