"""Which API and which token count."""

from pathlib import Path

import pytest

from berth_cli.ui.errors import CliError
from berth_cli.user import contexts
from berth_cli.user.contexts import Context, Contexts

PATH = Path("/home/ada/.config/berth/config.toml")
FILE = """
current-context = "lab"

[contexts.lab]
api = "https://lab.example.test"
token = "lab-token"

[contexts.roof]
api = "https://roof.example.test"
token-file = "roof.token"
ca-file = "/etc/roof.pem"
"""


def known() -> Contexts:
    return contexts.parse(FILE, PATH)


def test_the_file_s_paths_are_beside_it_or_absolute() -> None:
    roof = known().by_name["roof"]
    assert (roof.token_file, roof.ca_file) == (PATH.with_name("roof.token"), Path("/etc/roof.pem"))


@pytest.mark.parametrize(
    ("wanted", "environment", "api", "token"),
    [
        (None, {}, "lab", "lab-token"),
        ("roof", {}, "roof", None),
        (None, {"BERTH_CONTEXT": "roof"}, "roof", None),
        (None, {"BERTH_TOKEN": "mine"}, "lab", "mine"),
        (None, {"REROBOTS_API_TOKEN": "old"}, "lab", "old"),
        (None, {"BERTH_TOKEN": "mine", "REROBOTS_API_TOKEN": "old"}, "lab", "mine"),
        ("roof", {"BERTH_TOKEN": "mine", "BERTH_API": "https://else.example.test"}, "roof", None),
        (None, {"BERTH_TOKEN": "mine", "BERTH_API": "https://else.example.test"}, "else", "mine"),
    ],
)
def test_what_is_named_counts_more_than_the_environment_and_this_more_than_the_file(
    wanted: str | None, environment: dict[str, str], api: str, token: str | None
) -> None:
    found = contexts.choose(wanted, environment, known(), PATH)
    assert (found.api, found.token) == (f"https://{api}.example.test", token)


def test_a_token_goes_to_no_other_api_than_its_context_s() -> None:
    found = contexts.choose(None, {"BERTH_API": "https://else.example.test"}, known(), PATH)
    assert (found.token, found.token_file) == (None, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("contexts = 7", "tables"),
        ("current-context = 7", "a name"),
        ("[contexts.lab]", "has no api"),
        ('[contexts.lab]\napi = "x"\ntokn = "y"', "tokn"),
        ('[contexts.lab]\napi = "x"\ntoken = "y"\ntoken-file = "z"', "leave one out"),
        ("[contexts.lab]\napi = 7", "takes texts"),
        ("[contexts", "is no TOML"),
    ],
)
def test_what_is_wrong_with_the_file_is_named(text: str, says: str) -> None:
    with pytest.raises(CliError, match=says) as raised:
        contexts.parse(text, PATH)
    assert str(PATH) in raised.value.message


def test_the_current_context_changes_and_all_else_stays() -> None:
    text = f"# mine\n{FILE}"
    changed = contexts.with_current(text, "roof")
    assert changed == text.replace('current-context = "lab"', 'current-context = "roof"')
    assert contexts.parse(contexts.with_current("", "new"), PATH).current == "new"
    bare = text.replace('current-context = "lab"\n', "")
    assert contexts.parse(contexts.with_current(bare, "roof"), PATH).current == "roof"


@pytest.mark.parametrize("token", ["plain", 'with "quotes" and \\', "a\ttab"])
def test_what_is_written_is_read_again(token: str) -> None:
    made = Context("lab-2", "https://lab.example.test", token, None, Path("/etc/ca.pem"))
    assert contexts.parse(contexts.table(made), PATH).by_name["lab-2"] == made


def test_a_token_is_not_shown() -> None:
    assert "lab-token" not in repr(known())


def test_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="BERTH_API and BERTH_TOKEN"):
        contexts.place(None, {"XDG_CONFIG_HOME": str(tmp_path)})


def test_the_file_is_where_the_environment_says() -> None:
    assert contexts.config_path({"HOME": "/home/ada"}) == PATH
    assert contexts.config_path({"HOME": "/home/ada", "XDG_CONFIG_HOME": "/etc/ada"}) == Path(
        "/etc/ada/berth/config.toml"
    )


def test_a_token_s_file_is_read_anew_and_must_hold_one(tmp_path: Path) -> None:
    path = tmp_path / "berth" / "config.toml"
    path.parent.mkdir()
    path.write_text('[contexts.lab]\napi = "https://lab.example.test/"\ntoken-file = "lab.token"\n')
    environment = {"XDG_CONFIG_HOME": str(tmp_path)}
    with pytest.raises(CliError, match="cannot be read"):
        contexts.place("lab", environment)
    (tmp_path / "berth" / "lab.token").write_text("one\n")
    place = contexts.place("lab", environment)
    assert (place.api, place.token) == ("https://lab.example.test", "one")
    (tmp_path / "berth" / "lab.token").write_text("one\ntwo\n")
    with pytest.raises(CliError, match="one line"):
        contexts.place("lab", environment)
