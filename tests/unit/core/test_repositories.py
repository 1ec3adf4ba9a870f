import posixpath
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_core import repositories
from berth_core.repositories import NEVER, PATH, URL, obstacle, place

ARM = "https://git.example.org/lab/arm.git"
NEEDED = (
    "/",
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib64",
    "/proc",
    "/root",
    "/run",
    "/sbin",
    "/sys",
    "/usr",
    "/var",
)
"""Paths that nothing may be mounted over; all but / and /root include everything below."""

paths = st.text(st.sampled_from("/.aetcrunvo-~ \0:\n"), max_size=24) | st.lists(
    st.sampled_from(["", ".", "..", "etc", "root", "run", "berth", "a", "...", "lib32"]), max_size=6
).map("/".join)


@pytest.mark.parametrize(
    ("url", "path", "found"),
    [
        (ARM, None, "/root/arm"),
        ("https://git.example.org/lab/arm/", None, "/root/arm"),
        ("git://[2001:db8::1]:9418/arm", None, "/root/arm"),
        ("http://git.example.org/~ada/.dotfiles.git", None, "/root/.dotfiles"),
        (ARM, "work/arm", "/root/work/arm"),
        (ARM, "work/", "/root/work"),
        (ARM, "/root/x", "/root/x"),
        (ARM, "/srv/arm", "/srv/arm"),
        (ARM, "/library", "/library"),
        (ARM, "etc", "/root/etc"),
    ],
)
def test_where_a_clone_goes(url: str, path: str | None, found: str) -> None:
    assert place(url, path) == found


@pytest.mark.parametrize(
    "url",
    [
        "",
        "arm.git",
        "git@git.example.org:lab/arm.git",
        "ssh://git@git.example.org/lab/arm.git",
        "file:///etc",
        "--upload-pack=touch /tmp/x",
        "https://ada:secret@git.example.org/arm.git",
        "https://ghp_token@git.example.org/arm.git",
        "https://git.example.org/arm.git?private_token=secret",
        "https://git.example.org/arm.git#secret",
        "https://git.example.org/a b",
        "https://git.example.org/arm\n",
        "https://git.example.org/" + "a" * 2048,
    ],
)
def test_what_is_no_repository_for_everyone_is_refused_with_what_to_do(url: str) -> None:
    with pytest.raises(ValueError, match=r"^`url` takes .* clone inside, with your own credentials"):
        place(url, "x")


@pytest.mark.parametrize(
    "url",
    ["https://git.example.org", "https://git.example.org/", "https://git.example.org/.git", "http://x.test/a%20b"],
)
def test_one_without_a_name_needs_a_path(url: str) -> None:
    with pytest.raises(ValueError, match="say in `path`"):
        place(url, None)
    assert place(url, "x") == "/root/x"


@given(paths)
def test_no_path_leads_to_what_the_system_needs_or_elsewhere_than_it_says(path: str) -> None:
    try:
        found = place(ARM, path)
    except ValueError as error:
        assert str(error).startswith("`path` takes a path of up to 255")  # noqa: PT017 (both ends are promised)
        return
    assert found == posixpath.normpath(found), "it is as it stands"
    assert found not in NEEDED
    above = posixpath.commonpath([found, "/root"]) == "/root"
    assert above or not any(found.startswith(f"{folder}/") for folder in NEEDED if folder not in ("/", "/root"))
    assert ":" not in found
    assert "\n" not in found


@given(st.text(max_size=40))
def test_expressions_say_the_same_to_the_api_server_as_here(text: str) -> None:
    # RE2 knows no anchors beyond ^ and $, and its $ is the very end.
    for expression in (URL, PATH):
        assert expression.startswith("^")
        assert expression.endswith("$")
        assert bool(re.fullmatch(expression, text)) == bool(re.search(expression.removesuffix("$") + r"\Z", text))
    assert "'" not in URL + PATH + NEVER, "they stand in quotes in CEL"


@pytest.mark.parametrize(
    ("volumes", "found"),
    [
        ((), ""),
        (("/scratch", "/root2", "/root/ar"), ""),
        (("/scratch", "/root/arm"), "/root/arm"),
        (("/root/arm/",), "/root/arm/"),
        (("/root/arm/data",), "/root/arm/data"),
        (("/root",), "/root"),
        (("/",), "/"),
    ],
)
def test_a_types_volumes_and_a_clone_do_not_touch(volumes: tuple[str, ...], found: str) -> None:
    assert obstacle("/root/arm", volumes) == found
    if found:
        assert "choose another `path`" in repositories.taken("/root/arm", found)
