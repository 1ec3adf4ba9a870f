"""A generated table of who knocks how at an instance, live, against the reference evaluator: equal to the last case.

Two walls are tried apart. First nftables alone, beside a NetworkPolicy that lets everything through: every source,
protocol and age of a connection meets exactly what the rules say. Then both, with ``networkPolicy.sources: exact``:
what the rules forbid never comes through, what they accept does as soon as the cluster's enforcer has it.
FIREWALL_SEED draws other rules.
"""

import json
import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import reference
from echoing import Echo
from knocking import ANSWERED, MEETS, RESET, Knock, Source, all_meet, all_met, all_told
from lab import DEPLOYMENT_TYPE, NAMESPACE, Lab, Person
from places import Places, around, closed_again, opened
from reference import WrittenRule

from berth_dev.cluster.network import NETWORK, POD_RANGE

pytestmark = [pytest.mark.nodes, pytest.mark.invariant]

SEED = int(os.environ.get("FIREWALL_SEED") or 20261125)
RULESETS = 8
BOTH_WALLS = 5
PORT, AGENT = 7777, 8470
ENFORCER_SECONDS = 5.0
ACTIONS = ("ACCEPT", "ACCEPT", "DROP", "REJECT")


@dataclass
class Table:
    """An instance whose rules are changed, and what was found."""

    lab: Lab
    places: Places
    dice: random.Random = field(default_factory=lambda: random.Random(SEED))  # noqa: S311 (repeatable on purpose)
    round: int = 0
    cases: Counter[str] = field(default_factory=Counter)
    wrong: list[object] = field(default_factory=list)

    def drawn(self) -> list[WrittenRule]:
        """Rules about the sources and their neighbourhood, that nest, overlap and repeat; some of IPv6 between them."""
        found = []
        for _ in range(self.dice.randint(3, 14)):
            around = self.dice.choice(self.places.sources).address
            source = f"{around}/{32 - self.dice.choice((0, 0, 0, 0, 1, 2, 3, 5))}"
            if self.dice.random() < 0.25:
                source = self.dice.choice((str(NETWORK), str(POD_RANGE), "0.0.0.0/0", "::/0", "2001:db8::/32"))
            found.append((source, self.dice.choice(ACTIONS)))
        return found

    def obeys(self, rules: list[WrittenRule]) -> None:
        """Put rules in the place of those that are there, and wait until every one says that it is in force."""
        self.round += 1
        old = [rule["metadata"]["name"] for rule in self.lab.objects("fwr") if self._mine(rule)]
        if old:
            self.lab.kubectl("delete", "fwr", *old, "-n", NAMESPACE, "--wait=false")
        names = [f"table-{self.round}-{order}" for order in range(len(rules))]
        objects = [
            {
                "apiVersion": "berth.dev/v1alpha1",
                "kind": "FirewallRule",
                "metadata": {"name": name, "namespace": NAMESPACE},
                "spec": {"instance": self.places.instance, "order": order, "source": source, "action": action},
            }
            for order, (name, (source, action)) in enumerate(zip(names, rules, strict=True))
        ]
        self.lab.kubectl("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        wanted = [f"fwr/{name}" for name in names]
        self.lab.kubectl("wait", *wanted, "-n", NAMESPACE, "--for=condition=InForce", "--timeout=30s")

    def _mine(self, rule: dict[str, dict[str, object]]) -> bool:
        return rule["spec"]["instance"] == self.places.instance

    def knocks(self) -> list[Knock]:
        """Every source, each way."""
        pod, found = self.places.pod, list[Knock]()
        for source in self.places.sources:
            found += [Knock(source, protocol, (pod, PORT)) for protocol in MEETS]
            found.append(Knock(source, "tcp", (pod, AGENT)))
            if source.name != "same pod":
                found.append(Knock(source, "tcp", self.places.announced))
        return found

    def wanted(self, knock: Knock, rules: list[WrittenRule]) -> str:
        """Result that docs/explanation/firewall.md promises for a knock, by the verdict of the reference evaluator."""
        if knock.source.name == "same pod":
            return RESET if knock.to[1] == AGENT else ANSWERED
        if knock.to[1] == AGENT:
            return ANSWERED
        return MEETS[knock.protocol][reference.verdict(rules, self._judged_by(knock))]

    def _judged_by(self, knock: Knock) -> str:
        """The source address as it arrives: a node that uses its own node port puts its bridge's address there."""
        own = knock.source.name.startswith("own node") and knock.to == self.places.announced
        return self.places.bridge if own else knock.source.address

    def note(self, sort: str, rules: list[WrittenRule], knock: Knock, found: str, wanted: str) -> None:
        """Count a case, and keep it where it is wrong."""
        self.cases[sort] += 1
        if found != wanted:
            self.wrong.append((sort, knock.source.name, knock.protocol, knock.to, found, wanted, rules))


@pytest.fixture
def table(lab: Lab, ada: Person) -> Iterator[Table]:
    instance = ada.takes(DEPLOYMENT_TYPE)
    info = ada.asks("GET", f"/instance/{instance}").json
    with around(lab, instance, info) as places:
        yield Table(lab, places)
    closed_again(lab)
    ada.ends(instance)


@pytest.fixture
def exact(lab: Lab) -> Iterator[None]:
    """The cluster's enforcer holds the sources of each lease, too."""
    with_sources(lab, "exact")
    yield
    with_sources(lab, "any")


def with_sources(lab: Lab, sources: str) -> None:
    words = ["deployment/berth-operator", "-n", "berth"]
    lab.kubectl("set", "env", *words, f"BERTH_NETWORK_POLICY_SOURCES={sources}")
    lab.kubectl("rollout", "status", *words, "--timeout=60s")


@pytest.mark.release(twin="tests/envtest/agent/test_table.py")
def test_nftables_alone_meets_everybody_as_the_rules_say(table: Table) -> None:
    places = table.places
    # Else the kernel answers an address with six unreachables in a row and then with one a second.
    enter = ["nsenter", f"--net={places.inside}", "sysctl", "-qw", "net.ipv4.icmp_ratelimit=0"]
    subprocess.run(enter, check=True)
    opened(table.lab, places.instance)
    held: list[Knock] = []
    with Echo(places.inside, PORT):
        table.obeys([("0.0.0.0/0", "ACCEPT")])
        until_open(places.sources, (places.pod, PORT))
        for _ in range(RULESETS):
            rules = table.drawn()
            table.obeys(rules)
            for knock, found in all_told(held):
                if knock.to[1] == PORT:
                    table.note("held", rules, knock, found, table.wanted(knock, rules))
            held = table.knocks()
            wanted = [table.wanted(knock, rules) for knock in held]
            for knock, found, due in zip(held, all_meet(held, wanted), wanted, strict=True):
                table.note(knock.protocol, rules, knock, found, due)
        all_told(held)
    closed_again(table.lab)
    assert table.wrong == [], f"FIREWALL_SEED={SEED}"
    print(f"FIREWALL_SEED={SEED}: {dict(table.cases)}")  # noqa: T201 (how many cases there were)
    assert table.cases.total() - table.cases["held"] >= 230
    assert table.cases["held"] >= 30, "too few connections were held over a change to say something"


@pytest.mark.usefixtures("exact")
def test_both_walls_let_nobody_in_whom_the_rules_forbid_and_soon_all_whom_they_accept(table: Table) -> None:
    places = table.places
    sources = [source for source in places.sources if source.name != "same pod"]
    until_shut(places)
    for _ in range(BOTH_WALLS):
        rules = table.drawn()
        table.obeys(rules)
        knocks = [Knock(source, "tcp", places.announced) for source in sources]
        welcome = [table.wanted(knock, rules) == ANSWERED for knock in knocks]
        until, met = time.monotonic() + ENFORCER_SECONDS, list[bool]()
        while met != welcome and time.monotonic() < until:
            met = [found == ANSWERED for found in all_met(knocks)]
            all_told(knocks)
            strangers = [k.source.name for k, came_in, may in zip(knocks, met, welcome, strict=True) if came_in > may]
            assert not strangers, (rules, f"FIREWALL_SEED={SEED}")
        assert met == welcome, (rules, f"FIREWALL_SEED={SEED}")


def until_open(sources: tuple[Source, ...], to: tuple[str, int]) -> None:
    """Wait until the enforcer lets everybody through."""
    until = time.monotonic() + 30
    while set(all_met(knocks := [Knock(source, "tcp", to) for source in sources])) != {ANSWERED}:
        all_told(knocks)
        assert time.monotonic() < until, "the policy that lets all through was never enforced"
    all_told(knocks)


def until_shut(places: Places) -> None:
    """Wait until the enforcer keeps an outside client from a port that the instance's own policy does not name."""
    until = time.monotonic() + 30
    while (knock := Knock(places.sources[0], "tcp", (places.pod, AGENT))).met() == ANSWERED:
        all_told([knock])
        assert time.monotonic() < until, "the instance's own policy was never enforced"
