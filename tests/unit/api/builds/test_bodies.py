"""Bodies of /ci."""

from typing import Any

import pytest

from berth_api.builds.schemas import (
    BuildChange,
    BuildRequest,
    ProjectRequest,
    ProjectToBuild,
    ProjectToRegister,
)
from berth_api.builds.service import Revision
from berth_api.http.bodies import bind
from berth_api.http.errors import BadRequestError

URL = "https://git.example.test/lab/arm.git"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FULL = {"ns": "arm", "repo_type": "git", "repo_url": URL, "repo_branch": "main"}


def test_both_forms_of_a_new_project() -> None:
    assert bind(ProjectRequest, {"repo_url": URL, "ns": None}).root == ProjectToRegister(repo_url=URL)
    for given, revision in (
        (FULL, Revision("main", None)),
        (FULL | {"repo_commit": COMMIT}, Revision("main", COMMIT)),
    ):
        wanted = bind(ProjectRequest, given).root
        assert isinstance(wanted, ProjectToBuild)
        assert (wanted.repo_url, wanted.ns, wanted.revision) == (URL, "arm", revision)


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
        bind(ProjectRequest, FULL | change)


def test_a_build_has_a_branch_or_a_commit() -> None:
    assert bind(BuildRequest, {"branch": "main"}).revision == Revision("main", None)
    assert bind(BuildRequest, {"branch": "main", "commit": COMMIT}).revision == Revision("main", COMMIT)
    for body in ({}, {"branch": None}, {"commit": "main"}):
        with pytest.raises(BadRequestError, match="commit"):
            bind(BuildRequest, body)


def test_a_build_can_be_restarted_and_canceled() -> None:
    assert bind(BuildChange, {"do": "restart"}).do == "restart"
    assert bind(BuildChange, {"do": "cancel"}).do == "cancel"
    for body in ({}, {"do": "stop"}, {"do": 1}, {"do": None}):
        with pytest.raises(BadRequestError, match="`do`"):
            bind(BuildChange, body)


def test_a_user_name_stands_in_urls_of_ssh_only() -> None:
    url = "ssh://git@git.example.test:2222/lab/arm.git"
    assert bind(ProjectRequest, {"repo_url": url}).root == ProjectToRegister(repo_url=url)
