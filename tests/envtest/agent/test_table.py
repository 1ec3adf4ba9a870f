"""A generated table of cases, met by real packets in bare network namespaces, against the reference evaluator.

IPv6 mainly, which the two-node cluster has not; the same rulesets, by the same agent, as there.
"""

import random
from collections import Counter
from pathlib import Path

import pytest
import reference
from echoing import Echo
from knocking import MEETS, Knock, Source, all_met, all_told
from reference import WrittenRule

from .pod import Pod

PORT = 7777
RULESETS = 8
LASTS = range(10, 20)


def drawn(dice: random.Random) -> list[WrittenRule]:
    """Rules about the neighbourhood of the sources, of both IP versions."""
    found = []
    for _ in range(dice.randint(2, 12)):
        last, short = dice.choice(LASTS), dice.choice((0, 0, 0, 1, 2, 3, 8))
        whole = dice.random() < 0.1
        four, six = f"198.18.200.{last}/{32 - short}", f"2001:db8:200::{last:x}/{128 - short}"
        source = dice.choice(("0.0.0.0/0", "::/0")) if whole else dice.choice((four, six, six))
        found.append((source, dice.choice(("ACCEPT", "ACCEPT", "DROP", "REJECT"))))
    return [*found, *((("2001:db8:200::/64", "ACCEPT"),) if dice.random() < 0.5 else ())]


@pytest.mark.alone
def test_the_table_is_met_to_the_last_case(served: Pod) -> None:
    dice = random.Random(20261125)  # noqa: S311 (repeatable on purpose)
    # Else the kernel answers an address with six unreachables in a row and then with one a second.
    served.inside.sh("sysctl", "-qw", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0")
    netns = Path("/run/netns")
    sources = [Source(address, netns / served.outside.name, address) for address in addresses(served)]
    wrong, cases, held = [], Counter[str](), list[Knock]()
    with Echo(netns / served.inside.name, PORT):
        for generation in range(1, RULESETS + 1):
            rules = drawn(dice)
            assert served.push(generation, *rules, path_check=False).status == 200
            later = all_told(held)
            tries = [Knock(source, protocol, to(served, source)) for source in sources for protocol in MEETS]
            for age, met in (("held", later), ("new", list(zip(tries, all_met(tries), strict=True)))):
                for knock, found in met:
                    wanted = MEETS[knock.protocol][reference.verdict(rules, knock.source.address)]
                    cases[age] += 1
                    if found != wanted:
                        wrong.append((generation, rules, age, knock, found, wanted))
            held = tries
        all_told(held)
    assert wrong == []
    assert cases["new"] == RULESETS * len(sources) * len(MEETS)
    assert cases["held"] >= 25, "too few connections were held over a change to say something"


def addresses(pod: Pod) -> list[str]:
    """Outside addresses from which a pod of this test can be reached: all of IPv6, some of IPv4."""
    six = [f"2001:db8:200::{last:x}" for last in LASTS]
    for address in six:
        pod.outside.sh("ip", "addr", "add", f"{address}/64", "dev", "out0", "nodad", check=False)
    return [*six, *(f"198.18.200.{last}" for last in list(LASTS)[:3])]


def to(pod: Pod, source: Source) -> tuple[str, int]:
    return (pod.ip6 if ":" in source.address else pod.ip), PORT
