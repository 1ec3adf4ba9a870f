"""Forms of the answer."""

import json

import pytest
import yaml

from berth_cli.ui.options import Output
from berth_cli.ui.printing import Column, Table, show, show_one

Row = dict[str, str | None]
TABLE = Table[Row](
    (
        Column("NAME", lambda row: row["name"]),
        Column("WHAT", lambda row: row["what"]),
        Column("MORE", lambda _: "m", wide=True),
    ),
    name=lambda row: str(row["name"]),
    good=lambda row: row["name"] == "a",
)
ROWS: list[Row] = [{"name": "a", "what": "机器人"}, {"name": "longer", "what": None}]


@pytest.mark.parametrize(
    ("output", "lines"),
    [
        (Output.TABLE, ["NAME    WHAT", "a       机器人", "longer  -"]),
        (Output.WIDE, ["NAME    WHAT    MORE", "a       机器人  m", "longer  -       m"]),
        (Output.NAME, ["a", "longer"]),
    ],
)
def test_people_get_columns_and_pipes_get_no_colours(
    output: Output, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    show(ROWS, TABLE, output, "nothing")
    assert capsys.readouterr().out.splitlines() == lines


def test_programs_get_what_is_meant_for_them(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, TABLE, Output.JSON, "nothing")
    assert json.loads(capsys.readouterr().out) == ROWS
    show(ROWS, TABLE, Output.YAML, "nothing")
    assert yaml.safe_load(capsys.readouterr().out) == ROWS
    show_one(ROWS[0], TABLE, Output.JSON)
    assert json.loads(capsys.readouterr().out) == ROWS[0]


def test_nothing_is_said_on_standard_error_and_programs_get_an_empty_list(capsys: pytest.CaptureFixture[str]) -> None:
    show([], TABLE, Output.TABLE, "make one")
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "make one\n")
    show([], TABLE, Output.JSON, "make one")
    assert capsys.readouterr().out == "[]\n"


def test_one_thing_is_shown_by_lines_without_what_does_not_apply(capsys: pytest.CaptureFixture[str]) -> None:
    show_one(ROWS[1], TABLE, Output.TABLE)
    assert capsys.readouterr().out == "name  longer\n"
