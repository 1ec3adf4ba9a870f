"""Builds on the two-node cluster: repositories of a real git server, real pods, a real machine."""

import io
import tarfile
from collections.abc import Iterator

import pytest
from builds import IMAGE, Builds, recipe, summary
from gitserver import TOKEN, USER, GitServer, Repository, serving
from lab import DEPLOYMENT_TYPE, Lab

from berth_cluster.network import OUTSIDE

pytestmark = pytest.mark.nodes


@pytest.fixture(scope="module")
def server(lab: Lab) -> Iterator[GitServer]:
    with serving(OUTSIDE[2]) as running:
        yield running


@pytest.fixture(scope="module")
def public(server: GitServer) -> Repository:
    """A repository for everyone: a branch that passes and one that fails, a tag, a submodule."""
    library = server.repository("library")
    library.commit({"lib.txt": "from the library\n"})
    made = server.repository("robot")
    made.commit(
        recipe("cat greeting.txt", "echo branch=$BERTH_BRANCH travis=$TRAVIS_BRANCH ci=$CI") | {"greeting.txt": "hi\n"}
    )
    made.commit({"greeting.txt": "of the tag\n"}, tag="v1")
    made.commit({"greeting.txt": "latest\n"})
    made.commit(recipe("echo before", "exit 3", "echo after"), "fails")
    made.commit(recipe("cat library/lib.txt", submodules=True), "modules", submodule="library")
    return made


@pytest.fixture
def builds(lab: Lab) -> Builds:
    return Builds(lab)


def test_a_push_is_built_and_its_log_kept(builds: Builds, public: Repository, server: GitServer) -> None:
    project = builds.project(server.http("robot"))
    latest = public.commit({"more.txt": "more\n"})
    done = builds.ended(builds.start(project, branch="main"))
    assert summary(done) == ("passed", "Passed", "the script succeeded")
    assert (done.status.commit, done.status.image, done.status.exit_code) == (latest, IMAGE, 0)
    lines = builds.log(done).splitlines()
    assert lines[lines.index("$ cat greeting.txt") + 1] == "latest"
    assert "branch=main travis=main ci=true" in lines
    assert builds.leftovers(done) == []
    assert done.status.artifacts is None
