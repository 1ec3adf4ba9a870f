import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_agent import push
from berth_agent.push import InForce, Push
from berth_core import firewall
from berth_core.firewall import Rule, compile_ruleset

LINES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=60)


@given(
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.lists(LINES, max_size=5),
    st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    st.booleans(),
)
def test_agent_and_core_agree_on_what_a_ruleset_is(
    epoch: int, generation: int, keys: Sequence[str], notice: str, cut: bool
) -> None:
    ruleset = compile_ruleset([Rule.parse("203.0.113.7", "ACCEPT")], epoch=epoch, generation=generation)
    of = InForce(epoch, generation, firewall.digest_of(ruleset))
    wanted = Push(of, ruleset, tuple(keys), notice, cut)
    assert push.parse(push.render(wanted)) == wanted
    assert push.in_comment(ruleset) == of
    assert push.digest_of(ruleset) == of.digest


def test_a_listing_of_the_kernel_is_read_and_a_foreign_table_is_none() -> None:
    listing = 'table inet berth {\n\tcomment "berth e3 g7 ' + "a" * 64 + '"\n\tchain input {\n'
    assert push.in_comment(listing) == InForce(3, 7, "a" * 64)
    for foreign in ("table inet berth {\n}\n", listing.replace("berth e3", "perth e3"), listing.replace("a" * 64, "a")):
        assert push.in_comment(foreign) is None


def body(**changes: object) -> bytes:
    ruleset = compile_ruleset([], epoch=3, generation=1)
    fields = {"epoch": 3, "generation": 1, "ruleset": ruleset, "authorizedKeys": ["k"], "notice": ""}
    return json.dumps(fields | changes).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": 4}, {"generation": 2}, {"epoch": 3.0}, {"epoch": None}, {"generation": False},
        {"ruleset": compile_ruleset([], epoch=3, generation=1) + "# more\n"},
        {"ruleset": compile_ruleset([], epoch=3, generation=1).replace("berth e3", "berth  e3")},
        {"authorizedKeys": ["k\r"]}, {"authorizedKeys": ["k\nx"]}, {"authorizedKeys": [None]},
        {"authorizedKeys": ["\t"]}, {"authorizedKeys": ["k\0"]}, {"notice": "\0"},
    ],
)  # fmt: skip
def test_a_push_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"`|comment"):
        push.parse(body(**changes))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_push_or_a_valueerror(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        push.parse(content)


OLD, NEW = "0" * 64, "1" * 64


@pytest.mark.parametrize(
    ("wanted", "now", "stale"),
    [
        (InForce(3, 1, NEW), None, False),
        (InForce(3, 2, NEW), InForce(3, 1, OLD), False),
        (InForce(3, 1, OLD), InForce(3, 1, OLD), False),
        (InForce(3, 1, NEW), InForce(3, 1, OLD), True),
        (InForce(3, 1, OLD), InForce(3, 2, OLD), True),
        (InForce(4, 0, NEW), InForce(3, 9, OLD), False),
        (InForce(2, 9, NEW), InForce(3, 0, OLD), True),
    ],
)
def test_only_newer_or_repeated_pushes_are_not_stale(wanted: InForce, now: InForce | None, stale: bool) -> None:
    assert push.is_stale(wanted, now) is stale
