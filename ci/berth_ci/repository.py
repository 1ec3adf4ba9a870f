"""Finds what is to be built in a repository, and gets it with as little of the rest as the server allows."""

import re
from pathlib import Path
from typing import Final

from berth_ci import recipe
from berth_ci.failures import Failure
from berth_ci.git import Git, GitError

FULL: Final = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")
NO_BRANCH: Final = "BranchNotFound"
NO_COMMIT: Final = "CommitNotFound"
ELSEWHERE: Final = "CommitNotOnBranch"
NO_RECIPE: Final = "RecipeMissing"
WRONG: Final = "RecipeInvalid"
_EVERYTHING: Final = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
_TIP: Final = "refs/berth/tip"


def opened(folder: Path, url: str, environment: dict[str, str]) -> Git:
    """An empty repository in a folder, which knows where to fetch from."""
    folder.mkdir(parents=True, exist_ok=True)
    git = Git(folder, environment)
    git.run("init", "--quiet")
    git.run("remote", "add", "origin", url)
    return git


def find_commit(git: Git, branch: str | None, commit: str | None) -> str:
    """Full name of the commit that is meant; it is in the repository then. Raises Failure."""
    try:
        if branch is None:
            return obtained(git, commit.lower() if commit else "")
        if commit is None:
            return _head(git, branch)
        return _on_branch(git, branch, commit.lower())
    except GitError as error:
        raise error.failure("the repository could not be read") from error


def obtained(git: Git, commit: str) -> str:
    """Get one commit, by its name or the beginning of it; alone where the server gives out commits. Raises Failure."""
    try:
        if FULL.fullmatch(commit):
            try:
                git.reach("fetch", "--quiet", "--no-tags", "--depth=1", "--filter=blob:none", "origin", commit)
            except GitError as error:
                if not error.lacks_object:
                    raise
            else:
                return commit
        git.reach("fetch", "--quiet", "--filter=tree:0", "origin", *_EVERYTHING)
        return _resolve(git, commit, NO_COMMIT, f"the repository has no commit {commit}")
    except GitError as error:
        raise error.failure("the repository could not be read") from error


def read_recipe(git: Git, commit: str) -> str:
    """Return the text of .berth.yml in a commit. Raises Failure."""
    try:
        entry = git.run("ls-tree", commit, "--", recipe.FILE).split()
        if not entry or entry[1] != "blob" or entry[0] == "120000":
            raise Failure(NO_RECIPE, f"commit {commit[:12]} has no file {recipe.FILE}: add one (docs/how-to/ci.md)")
        if int(git.run("cat-file", "-s", entry[2])) > recipe.LARGEST:
            raise Failure(WRONG, f"{recipe.FILE} is larger than {recipe.LARGEST} bytes")
        return git.raw("cat-file", "blob", entry[2]).decode("utf-8")
    except GitError as error:
        raise error.failure(f"{recipe.FILE} could not be read") from error
    except UnicodeDecodeError as error:
        raise Failure(WRONG, f"{recipe.FILE} is not UTF-8") from error


def _head(git: Git, branch: str) -> str:
    """Get the last commit of a branch, or of a tag where no branch has the name."""
    for place in ("heads", "tags"):
        try:
            git.reach(
                "fetch", "--quiet", "--no-tags", "--depth=1", "--filter=blob:none", "origin", f"refs/{place}/{branch}"
            )
        except GitError as error:
            if not error.lacks_ref:
                raise
        else:
            return git.run("rev-parse", "--verify", "FETCH_HEAD^{commit}").strip()
    raise Failure(NO_BRANCH, f"the repository has no branch or tag `{branch}`")


def _on_branch(git: Git, branch: str, commit: str) -> str:
    """Get a branch's commits without their contents, and make sure that one of them is meant."""
    for place in ("heads", "tags"):
        try:
            git.reach("fetch", "--quiet", "--no-tags", "--filter=tree:0", "origin", f"+refs/{place}/{branch}:{_TIP}")
            break
        except GitError as error:
            if not error.lacks_ref:
                raise
    else:
        raise Failure(NO_BRANCH, f"the repository has no branch or tag `{branch}`")
    missing = f"commit {commit} is not on branch `{branch}`"
    full = _resolve(git, commit, ELSEWHERE, missing)
    if not git.succeeds("merge-base", "--is-ancestor", full, _TIP):
        raise Failure(ELSEWHERE, missing)
    return full


def _resolve(git: Git, commit: str, reason: str, message: str) -> str:
    try:
        return git.run("rev-parse", "--verify", f"{commit}^{{commit}}").strip()
    except GitError as error:
        sentence = f"{message}: its beginning is that of several" if "ambiguous" in error.words else message
        raise Failure(reason, sentence) from error
