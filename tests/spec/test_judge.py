"""The judge of traces and the specification agree on what is legal."""

from collections.abc import Callable

from berth_core.trace.commits import read
from berth_core.trace.judge import judge

from .conftest import runs


def test_every_run_of_the_specification_is_accepted(checker: Callable[..., str]) -> None:
    served = dict[str, int]()
    for run in runs(checker("walks", "40", "1")):
        verdict = judge(read(run.lines))
        assert [str(breach) for breach in verdict.breaches] == [], run.case
        assert verdict.given_back <= verdict.taken
        served[run.case] = served.get(run.case, 0) + verdict.served

    assert len(served) >= 10
    assert all(served.values()), "a case whose pods never start shows nothing"


def test_every_breach_of_the_orders_that_were_is_refused(checker: Callable[..., str]) -> None:
    found = list(runs(checker("breaches")))

    assert len({run.case for run in found}) >= 8
    for run in found:
        assert judge(read(run.lines)).breaches, run.case
