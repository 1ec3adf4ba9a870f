"""Builds on the two-node cluster: repositories of a real git server, real pods, real machines."""

import asyncio
import hashlib
import io
import json
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from builds import IMAGE, Builds, recipe, summary
from gitserver import TOKEN, USER, GitServer, Repository, serving
from lab import DEPLOYMENT_TYPE, NAMESPACE, Lab

from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.connection import connected
from berth_core.kube.types import PODS
from berth_core.names import ATTEMPT_LABEL, BUILD_LABEL, RUN_STEP, STEP_LABEL
from berth_core.resources import Build
from berth_dev.cluster.network import HOST_ADDRESS, OUTSIDE

pytestmark = pytest.mark.nodes

HELLO = ("cat greeting.txt", "echo branch=$BERTH_BRANCH travis=$TRAVIS_BRANCH ci=$CI mode=$MODE")
SNOOP = (
    f"import socket; s = socket.socket(); s.settimeout(3); print('api', s.connect_ex(('{HOST_ADDRESS}', 6443)) != 0);"
    "import os; print('token', os.path.exists('/var/run/secrets/kubernetes.io'), os.path.exists('/etc/berth'))"
)
KNOCKS = (
    "import socket, time\n"
    "while True:\n"
    " s = socket.socket(); s.settimeout(0.2)\n"
    f" print('shut' if s.connect_ex(('{HOST_ADDRESS}', 6443)) else 'open'); s.close(); time.sleep(0.05)"
)
WRONG = {
    "wrong-yaml": ("image: a\nscript:\n  - true\n env: {}\n", "RecipeInvalid", ".berth.yml, line 4: this is not YAML"),
    "wrong-key": (f"image: {IMAGE}\n\nscripts: []\n", "RecipeInvalid", ".berth.yml, line 3: `scripts` is not known"),
    "wrong-command": (
        f"image: {IMAGE}\nscript:\n  - make\n  - echo a: b\n",
        "RecipeInvalid",
        ".berth.yml, line 4: `script` must be text and is a mapping",
    ),
    "wrong-timeout": (
        f"image: {IMAGE}\nscript: make\ntimeout: 3d\n",
        "RecipeInvalid",
        ".berth.yml, line 3: `timeout` must be seconds",
    ),
    "no-script": (f"image: {IMAGE}\n", "RecipeInvalid", "`script` is missing"),
    "no-type": (
        f"image: {IMAGE}\nscript: make\nworkspace: no_such_robot\n",
        "WorkspaceUnknown",
        "there is no type no_such_robot",
    ),
    "no-image": ("image: localhost/none:1//\nscript: make\n", "ImageForbidden", "correct `image` in .berth.yml"),
}


@dataclass(frozen=True)
class Scene:
    """Repositories, and commits of the one for everyone."""

    server: GitServer
    public: Repository
    first: str
    tagged: str
    latest: str
    failing: str


@pytest.fixture(scope="module")
def scene(lab: Lab) -> Iterator[Scene]:
    with serving(OUTSIDE[2]) as server:
        library = server.repository("library")
        library.commit({"lib.txt": "from the library\n"})
        public = server.repository("robot")
        first = public.commit(recipe(*HELLO, env={"MODE": "it's $5"}) | {"greeting.txt": "hi\n"})
        tagged = public.commit({"greeting.txt": "of the tag\n"}, tag="v1")
        latest = public.commit({"greeting.txt": "latest\n"})
        failing = public.commit(recipe("echo before", "exit 3", "echo after", artifacts=["*.txt", "none"]), "fails")
        public.commit(recipe("cat library/lib.txt", submodules=True), "modules", submodule="library")
        public.commit(recipe("cat library/lib.txt"), "no-modules", submodule="library")
        making = ("mkdir -p out/deep", "echo 42 > out/deep/answer", "ln -s /etc out/away", "ln -s deep out/near")
        public.commit(recipe(*making, artifacts=["out"]), "leaves")
        public.commit(recipe("head -c 3000000 /dev/urandom > big", artifacts=["big"]), "leaves-much")
        public.commit(recipe(f'python3 -c "{SNOOP}"', "id -u", "ls /run/berth"), "snoops")
        public.commit(recipe("echo begun", "sleep 600", timeout="3s"), "late")
        public.commit({".berth.yml": "not to be"}, "bare")
        for branch, (text, _, _) in WRONG.items():
            public.commit({".berth.yml": text}, branch)
        private = server.repository("private")
        private.commit(recipe("cat secret.txt") | {"secret.txt": "the secret plan\n"})
        server.repository("empty").commit({"README": "nothing to build\n"})
        yield Scene(server, public, first, tagged, latest, failing)


@pytest.fixture(scope="module")
def builds(lab: Lab) -> Builds:
    return Builds(lab)


@pytest.fixture(scope="module")
def done(builds: Builds, scene: Scene) -> dict[str, Build]:
    """Many builds of several users at once, when all have ended."""
    server = scene.server
    token = builds.secret(username=USER, password=TOKEN, ca_crt=server.certificate)
    wrong = builds.secret(username=USER, password="guessed", ca_crt=server.certificate)
    deploy = builds.secret(ssh_privatekey=server.deploy_key, known_hosts=server.known_hosts)
    stranger = builds.secret(ssh_privatekey=server.deploy_key, known_hosts=server.known_hosts.replace("AAAA", "AAAB"))
    robot = {user: builds.project(server.http("robot"), user) for user in ("ada", "bob", "cyd", "dan")}
    others = {
        "token": builds.project(server.https("private"), "eva", token),
        "wrong-token": builds.project(server.https("private"), "eva", wrong),
        "token-by-http": builds.project(server.http("private"), "fay", token),
        "deploy-key": builds.project(server.ssh("private"), "fay", deploy),
        "other-host-key": builds.project(server.ssh("private"), "gil", stranger),
        "no-credentials": builds.project(server.http("private"), "gil"),
        "lost-secret": builds.project(server.https("private"), "gil", "s-none"),
        "no-repository": builds.project(server.http("none"), "hal"),
        "no-recipe": builds.project(server.http("empty"), "hal"),
        "not-public": builds.project("http://10.1.2.3/x.git", "hal"),
    }
    owner = {"token": "eva", "wrong-token": "eva", "token-by-http": "fay", "deploy-key": "fay"}
    owner |= {"other-host-key": "gil", "no-credentials": "gil", "lost-secret": "gil"}
    revisions = {
        "branch": {"branch": "main"},
        "tag": {"branch": "v1"},
        "commit": {"commit": scene.first},
        "short": {"commit": scene.tagged[:10]},
        "both": {"branch": "main", "commit": scene.tagged},
        "elsewhere": {"branch": "main", "commit": scene.failing},
        "no-commit": {"commit": "ab" * 20},
        "no-branch": {"branch": "none"},
        **{
            name: {"branch": name}
            for name in ("modules", "no-modules", "leaves", "leaves-much", "snoops", "late", *WRONG)
        },
    }
    started = {}
    for number, (name, revision) in enumerate(revisions.items()):
        user = list(robot)[number % len(robot)]
        started[name] = builds.start(robot[user], user, **revision)
    started |= {name: builds.start(project, owner.get(name, "hal")) for name, project in others.items()}
    started["not-his"] = builds.start(robot["ada"], "bob")
    started["no-project"] = builds.start("p-none", "bob")
    return {name: builds.ended(build, 200) for name, build in started.items()}


@pytest.mark.timeout(900)  # all builds of the module, which it waits for first
@pytest.mark.release(twin="tests/unit/ci/test_clone.py")
def test_a_branch_a_tag_a_commit_and_a_commit_of_a_branch_are_built(
    builds: Builds, scene: Scene, done: dict[str, Build]
) -> None:
    wanted = {
        "branch": (scene.latest, "latest", "main"),
        "tag": (scene.tagged, "of the tag", "v1"),
        "commit": (scene.first, "hi", ""),
        "short": (scene.tagged, "of the tag", ""),
        "both": (scene.tagged, "of the tag", "main"),
    }
    for name, (commit, greeting, branch) in wanted.items():
        build = done[name]
        assert summary(build) == ("passed", "Passed", "the script succeeded"), name
        assert (build.status.commit, build.status.image, build.status.exit_code) == (commit, IMAGE, 0)
        lines = builds.log(build).splitlines()
        assert lines[lines.index("$ cat greeting.txt") + 1] == greeting
        assert f"branch={branch} travis={branch} ci=true mode=it's $5" in lines
        assert builds.leftovers(build) == []


def test_a_script_that_fails_ends_there_with_its_code(builds: Builds, scene: Scene) -> None:
    build = builds.ended(builds.start(builds.project(scene.server.http("robot")), branch="fails"))
    assert summary(build) == ("failed", "ScriptFailed", "the script ended with exit code 3")
    assert build.status.exit_code == 3
    log = builds.log(build)
    assert "\nbefore\n$ exit 3\n" in log
    assert "after" not in log
    assert names_in(builds.artifacts(build)) == ["greeting.txt"], "kept of a failed build too"


@pytest.mark.release(twin="tests/unit/ci/test_clone.py")
def test_submodules_come_where_they_are_asked_for(builds: Builds, done: dict[str, Build]) -> None:
    assert summary(done["modules"])[0] == "passed"
    assert "from the library" in builds.log(done["modules"])
    assert summary(done["no-modules"])[0] == "failed"


@pytest.mark.parametrize("branch", WRONG)
@pytest.mark.release(twin="tests/unit/ci/test_recipe.py")
def test_a_file_that_is_wrong_is_told_by_line(done: dict[str, Build], branch: str) -> None:
    word, reason, message = summary(done[branch])
    assert (word, reason) == ("errored", WRONG[branch][1])
    assert WRONG[branch][2] in message


ERRORS = {
    "elsewhere": ("CommitNotOnBranch", "is not on branch `main`"),
    "no-commit": ("CommitNotFound", "the repository has no commit abab"),
    "no-branch": ("BranchNotFound", "the repository has no branch or tag `none`"),
    "no-repository": ("RepositoryNotFound", "not found"),
    "no-recipe": ("RecipeMissing", "has no file .berth.yml"),
    "not-public": ("RepositoryForbidden", "10.1.2.3 is not public"),
    "wrong-token": ("RepositoryDenied", "Authentication failed"),
    "no-credentials": ("RepositoryDenied", "could not read Username"),
    "other-host-key": ("RepositoryDenied", "Host key verification failed"),
    "token-by-http": ("CredentialsUnfit", "a token is sent over https only"),
    "lost-secret": ("CredentialsMissing", "there is no Secret s-none"),
    "not-his": ("NotTheProjects", "the project is not bob's"),
    "no-project": ("ProjectMissing", "there is no Project p-none"),
    "late": ("Timeout", "the script ran for longer than 3 s"),
}


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.release(twin="tests/envtest/operator/test_builds.py")
def test_what_cannot_be_built_says_why(done: dict[str, Build], name: str) -> None:
    word, reason, message = summary(done[name])
    assert (word, reason) == ("errored", ERRORS[name][0]), message
    assert ERRORS[name][1] in message


@pytest.mark.release(twin="tests/envtest/operator/test_keeping.py")
def test_a_log_is_kept_of_a_script_that_was_cut_off(builds: Builds, done: dict[str, Build]) -> None:
    assert builds.log(done["late"]).endswith("$ echo begun\nbegun\n$ sleep 600\n")


@pytest.mark.parametrize("name", ["token", "deploy-key"])
@pytest.mark.release(twin="tests/unit/ci/test_clone.py")
def test_a_private_repository_is_cloned_and_its_credentials_stay_hidden(
    lab: Lab, builds: Builds, scene: Scene, done: dict[str, Build], name: str
) -> None:
    build = done[name]
    assert summary(build)[0] == "passed", summary(build)
    log = builds.log(build)
    assert "the secret plan" in log
    told = log + json.dumps(lab.get("build", build.metadata.name)) + lab.kubectl("get", "events", "-A", "-o", "json")
    for secret in (TOKEN, scene.server.deploy_key.splitlines()[1]):
        assert secret not in told


@pytest.mark.release(twin="tests/unit/ci/test_artifacts.py")
def test_artifacts_are_kept_without_what_leads_out(builds: Builds, done: dict[str, Build]) -> None:
    build = done["leaves"]
    kept = builds.artifacts(build)
    assert build.status.artifacts is not None
    assert (len(kept), hashlib.sha256(kept).hexdigest()) == (build.status.artifacts.size, build.status.artifacts.sha256)
    assert names_in(kept) == ["out", "out/deep", "out/deep/answer", "out/near"]
    much = done["leaves-much"]
    assert much.status.artifacts is None
    assert summary(much)[0] == "passed"
    assert "the artifacts are larger than 1048576 bytes" in summary(much)[2]


@pytest.mark.release(twin="tests/envtest/operator/test_build_egress.py")
def test_a_script_has_no_power_over_the_cluster(builds: Builds, done: dict[str, Build]) -> None:
    lines = builds.log(done["snoops"]).splitlines()
    assert "api True" in lines, "it cannot connect to the API server"
    assert "token False False" in lines
    assert lines[lines.index("$ id -u") + 1] == "1000"
    assert lines[lines.index("$ ls /run/berth") + 1 :] == ["artifacts", "packer", "script"]


def names_in(tarball: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(tarball), mode="r:gz") as archive:
        return sorted(archive.getnames())


MACHINE = (
    "sleep 3",
    'ssh -F "$BERTH_INSTANCE_SSH_CONFIG" workspace "echo robot is \\$ROBOT"',
    'ssh -i "$BERTH_INSTANCE_KEY" -o UserKnownHostsFile="$BERTH_INSTANCE_KNOWN_HOSTS" -o BatchMode=yes'
    ' -p "$BERTH_INSTANCE_PORT" "root@$BERTH_INSTANCE_HOST" hostname',
)
SCRIPT_RUNS = 'jsonpath={.status.conditions[?(@.type=="Running")].reason}=Script'


def kill_the_operator(lab: Lab) -> None:
    """Kill both replicas at once, without a moment for last words."""
    words = ("-l", "app.kubernetes.io/component=operator", "--grace-period=0", "--force", "--wait=false")
    lab.kubectl("delete", "pods", "-n", "berth", *words)


def test_a_build_runs_a_command_on_its_machine_though_the_operator_is_killed(
    lab: Lab, builds: Builds, scene: Scene
) -> None:
    scene.public.commit(recipe(*MACHINE, workspace=DEPLOYMENT_TYPE), "machine")
    name = builds.start(builds.project(scene.server.http("robot")), branch="machine")
    lab.wait(f"build/{name}", SCRIPT_RUNS, 60)
    kill_the_operator(lab)
    build = builds.ended(name)
    assert summary(build)[0] == "passed", (summary(build), builds.log(build))
    assert "robot is misty2" in builds.log(build)
    instance = builds.instance(build)
    assert instance["spec"]["terminate"] is True
    assert instance["spec"]["user"] == "ada"
    lab.wait(f"instance/{build.status.instance}", "condition=Ended")
    assert builds.leftovers(build) == []


@pytest.mark.release(twin="tests/envtest/operator/test_builds.py")
def test_a_cancel_ends_the_script_and_the_lease_and_a_restart_begins_anew(
    lab: Lab, builds: Builds, scene: Scene
) -> None:
    scene.public.commit(recipe("echo begun", "sleep 300", workspace=DEPLOYMENT_TYPE), "long")
    name = builds.start(builds.project(scene.server.http("robot")), branch="long")
    lab.wait(f"build/{name}", SCRIPT_RUNS, 60)
    builds.patch(name, cancel=1)
    first = builds.ended(name)
    assert summary(first)[:2] == ("canceled", "Canceled")
    assert builds.log(first).endswith("begun\n$ sleep 300\n")
    lab.wait(f"instance/{first.status.instance}", "condition=Ended")
    assert builds.leftovers(first) == []
    builds.patch(name, attempt=2)
    lab.wait(f"build/{name}", SCRIPT_RUNS, 60)
    again = builds.get(name)
    assert (again.status.attempt, again.status.log, again.public_id) == (2, None, first.public_id)
    assert again.status.instance != first.status.instance
    lab.kubectl("delete", "build", name, "-n", NAMESPACE, "--wait=false")
    lab.wait(f"instance/{again.status.instance}", "delete", 60)
    selector = f"berth.dev/build={first.public_id}"
    # The cluster's own garbage collection gives them all of their 30 s. That there are none is fine too.
    lab.kubectl("wait", "pods", "-n", NAMESPACE, "-l", selector, "--for=delete", "--timeout=60s", check=False)
    assert lab.objects("pods", selector) == []


@pytest.mark.release(twin="tests/envtest/chart/test_walls.py")
def test_a_script_reaches_nothing_when_the_policy_of_its_build_is_gone(lab: Lab, builds: Builds, scene: Scene) -> None:
    """Kubernetes collects the policy of a deleted build in an order of its own, and the script has its time to end."""
    scene.public.commit(recipe("trap '' TERM", f'python3 -uc "{KNOCKS}"'), "stubborn")
    name = builds.start(builds.project(scene.server.http("robot")), branch="stubborn")
    lab.wait(f"build/{name}", SCRIPT_RUNS, 60)
    build = builds.get(name)
    wall = f"networkpolicy/{names.build_object(build.public_id, build.status.attempt or 1)}"
    (pod,) = lab.objects("pods", f"{BUILD_LABEL}={build.public_id},{STEP_LABEL}={RUN_STEP}")
    lab.kubectl("delete", wall, "-n", NAMESPACE)
    time.sleep(3)  # for the enforcer to hear of it
    words = ("logs", "--since=2s", pod["metadata"]["name"], "-c", names.SCRIPT_CONTAINER, "-n", NAMESPACE)
    assert set(lab.kubectl(*words).splitlines()) == {"shut"}
    assert lab.kubectl("get", wall, "-n", NAMESPACE, "--ignore-not-found") == ""
    lab.kubectl("delete", "build", name, "-n", NAMESPACE)
    # The script takes its 30 s: the next test counts the pods of builds.
    lab.kubectl("wait", f"pod/{pod['metadata']['name']}", "-n", NAMESPACE, "--for=delete", "--timeout=60s")


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("people", "each"), [pytest.param(4, 4, marks=pytest.mark.short), pytest.param(10, 5, marks=pytest.mark.long)]
)
@pytest.mark.release(twin="tests/envtest/operator/test_builds.py")
async def test_many_builds_at_once_run_five_at_a_time_and_each_script_once(
    lab: Lab, builds: Builds, scene: Scene, people: int, each: int
) -> None:
    scene.public.commit(recipe("true"), "quick")
    users = [f"user-{number}" for number in range(people)]
    projects = {user: builds.project(scene.server.http("robot"), user) for user in users}
    wanted = [(projects[user], user) for user in users for _ in range(each)]
    async with connected("berth-test", str(lab.kubeconfig)) as client:
        _, version = await client.list(PODS, NAMESPACE)
        names = await asyncio.to_thread(builds.start_many, wanted, branch="quick")
        watching = asyncio.create_task(_most_at_once(client, version))
        done = [await asyncio.to_thread(builds.ended, name, 800) for name in names]
        watching.cancel()
        most, scripts = await watching
    assert {summary(build)[0] for build in done} == {"passed"}
    assert most == 5
    assert sorted(scripts) == sorted(f"{build.public_id}-1" for build in done), "each script ran once"


async def _most_at_once(client: Client, version: str) -> tuple[int, list[str]]:
    """Until cancelled: how many builds had pods at the same time, at the most; and whose second pods were made."""
    there: dict[str, str] = {}
    most, scripts = 0, []
    with suppress(asyncio.CancelledError):
        while True:  # the server ends a watch after some minutes
            async for event in client.watch(PODS, NAMESPACE, version, labels={BUILD_LABEL: ""}):
                metadata = event.object["metadata"]
                version = metadata["resourceVersion"]
                if event.type == "DELETED":
                    there.pop(metadata["name"], None)
                elif event.type != "BOOKMARK":
                    labels = metadata["labels"]
                    there[metadata["name"]] = labels[BUILD_LABEL]
                    most = max(most, len(set(there.values())))
                    if event.type == "ADDED" and labels[STEP_LABEL] == RUN_STEP:
                        scripts.append(f"{labels[BUILD_LABEL]}-{labels[ATTEMPT_LABEL]}")
    return most, scripts
