from berth_core import names
from berth_core.kube.model import timestamp
from berth_operator.kinds import SECRETS
from berth_operator.sweeps.expired import LONGEST_WAIT, SHORTEST_WAIT, Due, Refusals, next_look

from ..samples import NOW, at


def test_the_next_look_is_when_something_expires_within_bounds() -> None:
    assert next_look([at(-5), at(120), at(200)], NOW, more=False) == 120
    assert next_look([at(1)], NOW, more=False) == SHORTEST_WAIT
    assert next_look([at(86400)], NOW, more=False) == LONGEST_WAIT
    assert next_look([], NOW, more=False) == LONGEST_WAIT


def test_what_was_too_much_for_one_pass_follows_at_once() -> None:
    assert next_look([at(-1)], NOW, more=True) == 0


def test_of_a_users_refusals_the_newest_stay_and_no_other_record_counts() -> None:
    def record(name: str, user: str | None) -> Due:
        labels = {} if user is None else {names.REFUSED_LABEL: user}
        return Due(at(1), SECRETS, {"name": name, "labels": labels, "creationTimestamp": timestamp(at(int(name)))})

    refused = Refusals(most=2)
    shown = [("5", "ada"), ("3", "ada"), ("1", None), ("4", "ada"), ("0", "bob"), ("6", "ada"), ("2", "ada")]
    dropped = [refused.add(record(*one)) for one in shown]
    assert [one.metadata["name"] for one in dropped if one is not None] == ["3", "4", "2"]
