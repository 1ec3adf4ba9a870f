"""Reads and checks the bodies of /ci. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from berth_api.http.errors import BadRequestError
from berth_api.http.options import LONGEST_URL

Body = Mapping[str, Any]

PROJECT: Final = "[A-Za-z0-9][A-Za-z0-9_.-]{0,127}"
REPOSITORY: Final = (
    r"(?:https?://|git://|ssh://(?:[A-Za-z0-9_.-]+@)?)"
    r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?"
    r'(?:/[!"$->@-~]*)?'
)
"""A user name is allowed for ssh only, and a query never: either could be a token, which is shown with the project."""
BRANCH: Final = r"[A-Za-z0-9_][A-Za-z0-9_/+@=#-]*(?:\.[A-Za-z0-9_/+@=#-]+)*"
"""Narrower than git-check-ref-format(1): the name goes into a command line, where a leading dash is an option."""
LONGEST_BRANCH: Final = 255
COMMIT: Final = "[0-9a-fA-F]{7,64}"
_STARTING: Final = ("ns", "repo_type", "repo_branch", "repo_commit")
"""Options of which any one turns the request into one for a build."""


class Change(StrEnum):
    """Changes of a build that can be asked for."""

    RESTART = "restart"
    CANCEL = "cancel"


@dataclass(frozen=True)
class Revision:
    """Revision to build: the head of a branch, or a commit, or a commit of a branch."""

    branch: str | None
    commit: str | None


@dataclass(frozen=True)
class WantedProject:
    """A repository to build; without a revision it is only registered, under an id that we choose."""

    repo_url: str
    name: str | None = None
    revision: Revision | None = None


def wanted_project(body: Body) -> WantedProject:
    """Read the body of POST /ci/new, in either of its forms. Raises BadRequestError."""
    url = _repository(body)
    if all(body.get(option) is None for option in _STARTING):
        return WantedProject(url)
    name = _text(body, "ns")
    if name is None:
        raise BadRequestError("option `ns` is required: name of the project")
    if not re.fullmatch(PROJECT, name):
        raise BadRequestError("value for option `ns` must be letters, digits, `.`, `_` and `-`, at most 128")
    if _text(body, "repo_type") != "git":
        raise BadRequestError("value for option `repo_type` must be `git`")
    return WantedProject(url, name, _revision(body, "repo_branch", "repo_commit"))


def wanted_build(body: Body) -> Revision:
    """Read the body of POST /ci/project/:pid/job. Raises BadRequestError."""
    return _revision(body, "branch", "commit")


def wanted_change(body: Body) -> Change:
    """Read the body of POST /ci/project/:pid/job/:jid. Raises BadRequestError."""
    asked = _text(body, "do")
    if asked not in set(Change):
        raise BadRequestError("value for option `do` must be " + " or ".join(f"`{change}`" for change in Change))
    return Change(asked)


def _text(body: Body, option: str) -> str | None:
    value = body.get(option)
    if value is not None and not isinstance(value, str):
        raise BadRequestError(f"value for option `{option}` has wrong type")
    return value


def _repository(body: Body) -> str:
    url = _text(body, "repo_url")
    if url is None:
        raise BadRequestError("option `repo_url` is required: URL of a git repository")
    if len(url) > LONGEST_URL or not re.fullmatch(REPOSITORY, url):
        raise BadRequestError("value for option `repo_url` must be the URL of a git repository")
    return url


def _revision(body: Body, branch_option: str, commit_option: str) -> Revision:
    branch, commit = _text(body, branch_option), _text(body, commit_option)
    if branch is None and commit is None:
        raise BadRequestError(f"option `{branch_option}` or `{commit_option}` is required")
    if branch is not None and (len(branch) > LONGEST_BRANCH or not re.fullmatch(BRANCH, branch)):
        raise BadRequestError(f"value for option `{branch_option}` is no name of a branch")
    if commit is not None and not re.fullmatch(COMMIT, commit):
        raise BadRequestError(f"value for option `{commit_option}` must be 7 to 64 hex digits")
    return Revision(branch, commit)
