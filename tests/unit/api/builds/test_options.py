"""Bodies of /ci."""

from typing import Any

import pytest

from berth_api.builds.options import Change, Revision, WantedProject, wanted_build, wanted_change, wanted_project
from berth_api.http.errors import BadRequestError

URL = "https://git.example.test/lab/arm.git"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FULL = {"ns": "arm", "repo_type": "git", "repo_url": URL, "repo_branch": "main"}


def test_both_forms_of_a_new_project() -> None:
    assert wanted_project({"repo_url": URL}) == WantedProject(URL)
    assert wanted_project(FULL) == WantedProject(URL, "arm", Revision("main", None))
    both = FULL | {"repo_commit": COMMIT}
    assert wanted_project(both) == WantedProject(URL, "arm", Revision("main", COMMIT))


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"repo_url": None}, "repo_url"),
        ({"repo_url": 7}, "repo_url"),
        ({"repo_url": ""}, "repo_url"),
        ({"repo_url": "git.example.test/lab"}, "repo_url"),
        ({"repo_url": "file:///etc/passwd"}, "repo_url"),
        ({"repo_url": "https://"}, "repo_url"),
        ({"repo_url": "https://token@git.example.test/lab.git"}, "repo_url"),
        ({"repo_url": "https://user:token@git.example.test/lab.git"}, "repo_url"),
        ({"repo_url": "ssh://git:secret@git.example.test/lab.git"}, "repo_url"),
        ({"repo_url": "https://[::1"}, "repo_url"),
        ({"repo_url": URL + "?private_token=glpat"}, "repo_url"),
        ({"repo_url": URL + "#glpat"}, "repo_url"),
        ({"repo_url": URL + " --upload-pack=x"}, "repo_url"),
        ({"repo_url": URL + "x" * 3000}, "repo_url"),
        ({"ns": None}, "ns"),
        ({"ns": []}, "ns"),
        ({"ns": "a/b"}, "ns"),
        ({"ns": ""}, "ns"),
        ({"repo_type": "svn"}, "repo_type"),
        ({"repo_type": None}, "repo_type"),
        ({"repo_branch": None}, "repo_branch"),
        ({"repo_branch": "-x"}, "repo_branch"),
        ({"repo_branch": ""}, "repo_branch"),
        ({"repo_branch": "a b"}, "repo_branch"),
        ({"repo_branch": "a..b"}, "repo_branch"),
        ({"repo_branch": 1}, "repo_branch"),
        ({"repo_commit": "xyz"}, "repo_commit"),
        ({"repo_commit": "abc"}, "repo_commit"),
        ({"repo_commit": True}, "repo_commit"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], option: str) -> None:
    with pytest.raises(BadRequestError, match=f"`{option}`"):
        wanted_project(FULL | change)


def test_a_build_has_a_branch_or_a_commit() -> None:
    assert wanted_build({"branch": "main"}) == Revision("main", None)
    assert wanted_build({"branch": "main", "commit": COMMIT}) == Revision("main", COMMIT)
    for body in ({}, {"branch": None}, {"commit": "main"}):
        with pytest.raises(BadRequestError, match="commit"):
            wanted_build(body)


def test_a_build_can_be_restarted_and_canceled() -> None:
    assert wanted_change({"do": "restart"}) is Change.RESTART
    assert wanted_change({"do": "cancel"}) is Change.CANCEL
    for body in ({}, {"do": "stop"}, {"do": 1}, {"do": None}):
        with pytest.raises(BadRequestError, match="`do`"):
            wanted_change(body)


def test_a_user_name_stands_in_urls_of_ssh_only() -> None:
    url = "ssh://git@git.example.test:2222/lab/arm.git"
    assert wanted_project({"repo_url": url}) == WantedProject(url)
