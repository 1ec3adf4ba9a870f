"""What kinds and quotas would refuse if it were made now: objects that are older than their bounds. Pure."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from berth_cli.checkup.facts import Facts, Unseen
from berth_cli.checkup.findings import Finding, Level, some, unseen
from berth_core.resources import KINDS

LONGEST_NAME: Final = 63
"""Policy `berth-names`."""


def sizes(facts: Facts) -> Iterator[Finding]:
    """Resources are no larger than their kinds allow now."""
    check = "sizes"
    if isinstance(facts.ours, Unseen):
        yield unseen(check, facts.ours)
        return
    found = []
    for one in facts.ours:
        metadata = one["metadata"]
        paths = [*one.get("larger", ()), *(["metadata.name"] if len(metadata["name"]) > LONGEST_NAME else [])]
        if paths:
            found.append(f"{one['what']} {metadata['namespace']}/{metadata['name'][:80]} ({', '.join(paths[:3])})")
    if found:
        mend = "they go on; what is put back from an export must be within the bounds of `kubectl explain`"
        yield Finding(check, Level.WARNING, f"{len(found)} are larger than may be made now: {some(found)}", mend)
    else:
        yield Finding(check, Level.OK, "no resource is larger than may be made now")


def counts(facts: Facts) -> Iterator[Finding]:
    """Workspace namespaces hold no more objects than their quotas."""
    check = "quotas"
    if isinstance(facts.ours, Unseen) or isinstance(facts.most, Unseen):
        yield unseen(check, facts.ours if isinstance(facts.ours, Unseen) else Unseen("the bounds are not known"))
        return
    most = facts.most
    plurals = {kind.KIND: kind.PLURAL for kind in KINDS}
    held = Counter((one["metadata"]["namespace"], plurals[one["what"]]) for one in facts.ours)
    full = [
        f"{namespace} has {count} {plural}, and {most[plural]} are its bound"
        for (namespace, plural), count in sorted(held.items())
        if count >= most.get(plural, count + 1)
    ]
    if full:
        mend = "none can be made there until there are fewer; delete some, or raise bounds.objects"
        yield Finding(check, Level.WARNING, some(full), mend)
    else:
        yield Finding(check, Level.OK, "all kinds are within their bounds")
