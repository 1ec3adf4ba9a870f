"""A test that leaves the gate has a twin that stays, or one of a few reasons."""

from pathlib import Path

import pytest

from berth_dev.checks import twins
from berth_dev.errors import ClusterError

HEAD = "import pytest\n"
STAYS = {"tests/unit/test_stays.py": "def test_stays():\n    pass\n"}


def marked(twin: str) -> str:
    return f"{HEAD}\n@pytest.mark.release({twin})\n@pytest.mark.timeout(3)\nasync def test_goes():\n    pass\n"


def complaints(folder: Path, files: dict[str, str]) -> list[str]:
    for name, source in (STAYS | files).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(source)
    return twins.complaints(folder)


@pytest.mark.parametrize(
    "twin",
    ['twin="tests/unit/test_stays.py"', 'twin="tests/unit/test_stays.py::test_stays"', 'twin=None, reason="it is one"'],
)
def test_a_twin_that_stays_or_a_reason_is_enough(tmp_path: Path, twin: str) -> None:
    assert complaints(tmp_path, {"tests/e2e/test_goes.py": marked(twin)}) == []


@pytest.mark.parametrize(
    ("twin", "complaint"),
    [
        ('twin="tests/unit/test_gone.py"', "is not there"),
        ('twin="tests/unit/test_stays.py::test_gone"', "is not there"),
        ('twin="tests/e2e/test_goes.py::test_goes"', "is not in `make test` either"),
        ('twin="tests/faults/test_whole.py"', "is not in `make test` either"),
        ("twin=None", "no twin and no reason"),
    ],
)
def test_another_twin_is_refused(tmp_path: Path, twin: str, complaint: str) -> None:
    whole = f'{HEAD}pytestmark = [pytest.mark.x, pytest.mark.release(twin="tests/unit/test_stays.py")]\n'
    (found,) = complaints(tmp_path, {"tests/e2e/test_goes.py": marked(twin), "tests/faults/test_whole.py": whole})
    assert "tests/e2e/test_goes.py::test_goes" in found
    assert complaint in found
    with pytest.raises(ClusterError, match=complaint):
        twins.check(tmp_path)


def test_cases_that_stay_are_the_twin_of_those_that_go(tmp_path: Path) -> None:
    case = 'pytest.param(2, marks=pytest.mark.release(twin="tests/e2e/test_some.py::test_some"))'
    source = f'{HEAD}\n@pytest.mark.parametrize("n", [1, {case}])\ndef test_some(n):\n    pass\n'
    assert complaints(tmp_path, {"tests/e2e/test_some.py": source}) == []
    assert [mark.test for mark in twins.marks(tmp_path)] == ["test_some[…]"]


def test_a_file_of_a_folder_that_the_gate_leaves_out_has_a_mark(tmp_path: Path) -> None:
    (found,) = complaints(tmp_path, {"tests/abuse/test_abuse.py": "def test_abuse():\n    pass\n"})
    assert "needs `pytestmark`" in found


def test_there_are_few_reasons(tmp_path: Path) -> None:
    many = {f"tests/e2e/test_{n}.py": marked('twin=None, reason="r"') for n in range(twins.MOST_WITHOUT + 1)}
    assert "16 tests without a twin" in complaints(tmp_path, many)[-1]
