"""Numbers of rulesets: a push of a former leader is older than any of its heir's."""

from hypothesis import given
from hypothesis import strategies as st

from berth_core.resources.instance import InForce
from berth_operator.instances.firewall.desired import CHANGES_BITS, next_generation, term_of

from ..samples import agent, bound, seen
from .test_status import after

TERMS = st.integers(1, 2**33 - 1)
DIGESTS = st.sampled_from(["a", "b"])


@given(st.tuples(TERMS, TERMS).filter(lambda terms: terms[0] != terms[1]).map(sorted), st.lists(DIGESTS), DIGESTS)
def test_a_former_leader_never_has_the_greater_number(terms: list[int], changes: list[str], digest: str) -> None:
    former, heir = terms
    known = None
    for change in changes:
        known = InForce(generation=next_generation(former, known, change), digest=change)
    assert next_generation(heir, known, digest) > next_generation(former, known, digest)
    assert term_of(next_generation(heir, known, digest)) == heir


@given(TERMS, st.integers(0, 2**16), DIGESTS, DIGESTS)
def test_what_an_earlier_version_pushed_is_older_than_all(term: int, plain: int, before: str, digest: str) -> None:
    assert next_generation(term, InForce(generation=plain, digest=before), digest) > plain
    assert term_of(plain) == 0


@given(TERMS, DIGESTS, DIGESTS)
def test_a_number_stays_while_the_rules_do_and_grows_with_them(term: int, before: str, digest: str) -> None:
    known = InForce(generation=next_generation(term, None, before), digest=before)
    assert next_generation(term, known, digest) == known.generation + (before != digest)


@given(st.integers(1, 2**33 - 1))
def test_it_fits_what_every_json_reader_keeps(term: int) -> None:
    assert next_generation(term, None, "") + 2**CHANGES_BITS - 2 < 2**53


def test_a_ruleset_that_only_a_new_leader_has_pushed_again_is_no_news_for_the_status() -> None:
    shown = bound(status={"firewall": {"generation": 1, "digest": "d"}, "podUid": "pod-1"})
    again = agent(acknowledged=InForce(generation=next_generation(9, None, "d"), digest="d"))
    assert after(seen(instance=shown, agent=again)).firewall == InForce(generation=1, digest="d")
    other = agent(acknowledged=InForce(generation=next_generation(9, None, "e"), digest="e"))
    assert after(seen(instance=shown, agent=other)).firewall == other.acknowledged
