"""The workspace image's entrypoint: what it writes for sshd and for login shells."""

import subprocess
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SCRIPT = Path(__file__).parents[3] / "images" / "workspace" / "entrypoint"
NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)


ENTRYPOINT = SimpleNamespace(**run_path(str(SCRIPT)))


def split(text: str) -> list[str]:
    """Words of a line as OpenSSH 9.2 reads them (argv_split in its misc.c)."""
    words: list[str] = []
    at = 0
    while at < len(text):
        if text[at] in " \t":
            at += 1
            continue
        word, quote = "", ""
        while at < len(text):
            here, following = text[at], text[at + 1 : at + 2]
            if here == "\\" and (following in ("'", '"', "\\") or (not quote and following == " ")) and following:
                word += following
                at += 1
            elif not quote and here in " \t":
                break
            elif not quote and here in "\"'":
                quote = here
            elif quote and here == quote:
                quote = ""
            else:
                word += here
            at += 1
        words.append(word)
    return words


@given(st.dictionaries(NAMES, VALUES.filter(lambda value: "\n" not in value), min_size=1, max_size=6))
def test_sshd_reads_back_every_value_of_one_line(variables: dict[str, str]) -> None:
    line = ENTRYPOINT.sshd_line(variables)
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert split(line[:-1]) == ["SetEnv", *(f"{name}={value}" for name, value in variables.items())]


@given(VALUES.filter(lambda value: "\r" not in value))
@settings(max_examples=25)
def test_a_login_shell_reads_back_every_value(value: str) -> None:
    script = ENTRYPOINT.shell_lines({"GIVEN": value}) + 'printf %s "$GIVEN"'
    shown = subprocess.run(["sh", "-c", script], capture_output=True, check=True).stdout
    assert shown == value.encode()


def test_no_variables_are_no_line() -> None:
    assert ENTRYPOINT.sshd_line({}) == ""


@pytest.mark.parametrize("name", ["HOME", "USER", "SSH_CONNECTION", "KUBERNETES_SERVICE_HOST", "PWD", "SHLVL", "_"])
def test_what_sshd_sets_itself_is_left_to_it(name: str) -> None:
    assert not ENTRYPOINT.is_given(name)


@pytest.mark.parametrize("name", ["PATH", "HOMEPAGE", "MY_USER", "BERTH_ROBOT", "LANG"])
def test_what_the_template_sets_is_passed_on(name: str) -> None:
    assert ENTRYPOINT.is_given(name)


@pytest.mark.parametrize("name", ["", "1ST", "WITH-DASH", "WITH.DOT", "ÜBER"])
def test_what_no_shell_could_name_is_left_out(name: str) -> None:
    assert not ENTRYPOINT.is_given(name)
