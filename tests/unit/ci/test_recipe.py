import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_ci.recipe import Recipe, RecipeError, parse

LONGEST = 6 * 3600
WHOLE = """\
image: debian:12
script:
  - make
  - |
    for i in 1 2; do
      echo $i
    done
env:
  MODE: fast
  LEVEL: 3
  EMPTY: ""
timeout: 30m
workspace: fixed_misty2
artifacts:
  - out/*.log
  - report.html
submodules: true
"""


def test_a_whole_file() -> None:
    found = parse(WHOLE, LONGEST)
    assert found == Recipe(
        image="debian:12",
        script=("make", "for i in 1 2; do\n  echo $i\ndone\n"),
        env={"MODE": "fast", "LEVEL": "3", "EMPTY": ""},
        timeout=1800,
        workspace="fixed_misty2",
        artifacts=("out/*.log", "report.html"),
        submodules=True,
    )


def test_the_least() -> None:
    assert parse("image: a\nscript: make test\n", LONGEST) == Recipe(image="a", script=("make test",))


WRONG = [
    ("", 1, "the file is empty"),
    ("- a\n", 1, "the file must be a mapping"),
    ("image: a\n", 1, "`script` is missing: write which commands are run"),
    ("script: a\n", 1, "`image` is missing"),
    ("image: a\nscript: a\n\nscripts: b\n", 4, "`scripts` is not known: there are image, script, env"),
    ("image: a\nimage: b\nscript: a\n", 2, "`image` stands in line 1 already"),
    ("image: [a]\nscript: a\n", 1, "`image` must be text and is a list"),
    ("image:\nscript: a\n", 1, "`image` has no value"),
    ("image: -a\nscript: a\n", 1, "`image` must be the name of an image"),
    ("image: a b\nscript: a\n", 1, "`image` must be the name of an image"),
    ("image: a\nscript:\n  - ok\n  - echo a: b\n", 4, "`script` must be text and is a mapping: put it in quotes"),
    ("image: a\nscript: []\n", 2, "`script` is an empty list"),
    ("image: a\nscript: {a: b}\n", 2, "`script` must be a list"),
    ("image: a\nscript:\n", 2, "`script` must be a list"),
    ("image: a\nscript: a\nenv: [a]\n", 3, "`env` must be a mapping"),
    ("image: a\nscript: a\nenv:\n  A: 1\n  B-C: 2\n", 5, "`B-C` cannot be the name of a variable"),
    ("image: a\nscript: a\nenv:\n  BERTH_COMMIT: 1\n", 4, "names that begin with BERTH_ are Berth's own"),
    ("image: a\nscript: a\nenv:\n  A: [1]\n", 4, "`A` must be text and is a list"),
    ("image: a\nscript: a\ntimeout: 0\n", 3, "`timeout` must be seconds"),
    ("image: a\nscript: a\ntimeout: 1d\n", 3, "`timeout` must be seconds"),
    ("image: a\nscript: a\ntimeout: 7h\n", 3, "`timeout` may be 21600 s at most here"),
    ("image: a\nscript: a\nworkspace: a b\n", 3, "`workspace` must be the name of a type"),
    ("image: a\nscript: a\nartifacts:\n  - ok\n  - /etc/passwd\n", 5, "must be a path below the work folder"),
    ("image: a\nscript: a\nartifacts: a/../../b\n", 3, "must be a path below the work folder"),
    ("image: a\nscript: a\nsubmodules: yes\n", 3, "`submodules` must be true or false"),
    ("image: a\nscript:\n  - a\n b: c\n", 4, "this is not YAML"),
    ("image: a\nscript: *nothing\n", 2, "this is not YAML"),
    ("? [a]\n: b\n", 1, "keys of the file must be words"),
    ("image: a\nscript: a\x00\n", 1, "this is not YAML"),
    ("[" * 30000, 1, "this is nested too deeply"),
    ("image: a\nscript: !!binary aGk=\n", 2, "`script` must be a list"),
]


@pytest.mark.parametrize(("text", "line", "message"), WRONG)
def test_a_complaint_names_the_line(text: str, line: int, message: str) -> None:
    with pytest.raises(RecipeError) as wrong:
        parse(text, LONGEST)
    assert wrong.value.line == line
    assert str(wrong.value).startswith(f".berth.yml, line {line}: ")
    assert message in str(wrong.value)


def test_aliases_are_not_multiplied() -> None:
    bomb = "image: a\nscript: &a [x, x, x, x]\nenv:\n  A: b\n" + "artifacts: *a\n"
    assert parse(bomb, LONGEST).artifacts == ("x",) * 4


@given(st.text(max_size=300))
def test_whatever_the_text_is_it_is_read_or_complained_about(text: str) -> None:
    try:
        found: Recipe | int = parse(text, LONGEST)
    except RecipeError as wrong:
        found = wrong.line
    lines = sum(text.count(end) for end in "\n\r\x85\u2028\u2029") + 1
    assert (found.image and found.script) if isinstance(found, Recipe) else 1 <= found <= lines + 1
