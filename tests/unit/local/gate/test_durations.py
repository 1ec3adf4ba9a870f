"""The gate has a budget: every file of it has its seconds, and none takes too many."""

from pathlib import Path

import pytest

from berth_dev.checks import durations
from berth_dev.errors import ClusterError
from berth_dev.gate.parts import GATE

FILE, SLOW = "tests/envtest/test_one.py", durations.MOST_SECONDS + 1
REPORT = """<testsuites><testsuite>
<testcase classname="c" name="test_one" time="1.25"><properties><property name="node" value="{file}::test_one"/>
</properties></testcase>
<testcase classname="c" name="test_two" time="0.5"><properties><property name="node" value="{file}::test_two[1]"/>
</properties></testcase></testsuite></testsuites>"""


def report(folder: Path, file: str) -> Path:
    path = folder / "junit.xml"
    path.write_text(REPORT.format(file=file))
    return path


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name in (FILE, "tests/envtest/test_two.py", "tests/abuse/test_all.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("def test_one():\n    pass\n")
    return tmp_path


@pytest.mark.parametrize(
    ("recorded", "complaint"),
    [
        ({}, f"{FILE}: no seconds"),
        ({FILE: 1.0, "tests/envtest/test_gone.py": 1.0}, "test_gone.py: seconds in"),
        ({FILE: SLOW}, f"{FILE}: 46 s in `make test`, 45 at most"),
    ],
)
def test_a_file_has_its_seconds_and_not_too_many(recorded: dict[str, float], complaint: str) -> None:
    (found,) = durations.complaints(recorded, {FILE})
    assert complaint in found


def test_a_part_has_a_budget_and_so_has_no_file_of_the_cluster_one() -> None:
    ((workers,), (nodes, *_)) = GATE
    files = {f"tests/envtest/test_{n}.py": 19.0 for n in range(int(workers.at_once * workers.aim_seconds / 19) + 1)}
    cluster = {"tests/e2e/test_long.py": nodes.aim_seconds - 1}
    (found,) = durations.complaints(files | cluster, {*files, *cluster})
    assert found.startswith("part workers of `make test` takes")
    cluster["tests/e2e/test_short.py"] = 2.0
    (found,) = durations.complaints(cluster, set(cluster))
    assert found.startswith("part nodes of `make test` takes")


def test_a_run_writes_what_it_took_and_a_change_only_what_is_new(repository: Path) -> None:
    durations.write([report(repository, FILE)], repository)
    with pytest.raises(ClusterError, match=r"test_two\.py: no seconds"):
        durations.check(repository)
    durations.write([report(repository, "tests/envtest/test_two.py")], repository, is_new_only=True)
    durations.check(repository)
    record = repository / durations.RECORD
    record.write_text(record.read_text().replace("1.8", "3.0"))
    durations.write([report(repository, FILE)], repository, is_new_only=True)
    assert record.read_text().count("3.0") == 2
    (repository / FILE).unlink()
    durations.write([report(repository, "tests/envtest/test_two.py")], repository)
    assert record.read_text() == '{\n"tests/envtest/test_two.py": 1.8\n}\n'
