"""Words of the command line become what functions take."""

import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from berth_cli.ui.help import Commands

SEEN: dict[str, Any] = {}


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


app = Commands()


@app.callback()
def tool() -> None:
    """A tool."""


@app.command()
def take(
    names: Annotated[list[str], typer.Argument()],
    colour: Colour = Colour.RED,
    colours: Annotated[list[Colour] | None, typer.Option("--also")] = None,
    path: Path | None = None,
    number: Annotated[int, typer.Option(min=0)] = 1,
    loud: bool = False,
) -> None:
    SEEN.update(names=names, colour=colour, colours=colours, path=path, number=number, loud=loud)


def run(*words: str) -> Any:
    SEEN.clear()
    return CliRunner().invoke(app, ["take", *words])


def test_each_kind_of_word_is_what_the_function_says() -> None:
    assert run("a", "b").exit_code == 0
    assert SEEN == {
        "names": ["a", "b"],
        "colour": Colour.RED,
        "colours": None,
        "path": None,
        "number": 1,
        "loud": False,
    }
    words = ("--colour", "blue", "--also", "red", "--also", "blue", "--path", "x y", "--number", "7", "--loud", "c")
    assert run(*words).exit_code == 0
    assert SEEN["names"] == ["c"]
    assert (SEEN["colour"], SEEN["colours"]) == (Colour.BLUE, [Colour.RED, Colour.BLUE])
    assert (SEEN["path"], SEEN["number"], SEEN["loud"]) == (Path("x y"), 7, True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("a", "--colour", "green"), "'green' is not one of 'red', 'blue'"),
        (("a", "--number", "-1"), "number"),
        (("a", "--number", "x"), "number"),
        ((), "Missing argument"),
    ],
)
def test_what_is_wrong_is_wrong_usage(words: tuple[str, ...], says: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert says in done.output


def test_plain_words_load_no_pydantic() -> None:
    code = "import sys; sys.argv = ['berth', 'list', '-o', 'name']\nfrom berth_cli.main import main\n"
    code += "try: main()\nfinally: print('pydantic' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"BERTH_API": "http://127.0.0.1:1"}, capture_output=True, text=True
    )
    assert done.stdout == "False\n"
