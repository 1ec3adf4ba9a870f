"""Contract §5, "CI": projects and builds, from asking to the end; logs are in ``test_s5_ci_logs``."""

import asyncio
from datetime import UTC, datetime

import httpx
import pytest

from berth_api.builds import projects, service
from berth_core import ids, names
from berth_core.resources import Build, BuildSpec, Instance, Project, manifest

from .ci import COMMIT, URL, artifacts_of, as_operator, asked, end, log_of, project_resource, resource
from .conftest import user_client
from .process import Api
from .signing import Signer
from .world import World, eventually

pytestmark = pytest.mark.apiserver

NOTHING = "00000000-0000-4000-8000-000000000000"
NO_PROJECT = {"error_message": "project not found"}
NO_BUILD = {"error_message": "build not found"}
WRITING = (
    ("/ci/new", {"repo_url": URL}),
    ("/ci/project/arm/job", {"branch": "main"}),
    (f"/ci/project/arm/job/{NOTHING}", {"do": "restart"}),
)
READING = (
    "/ci/projects",
    "/ci/project/arm/job",
    f"/ci/project/arm/job/{NOTHING}",
    f"/ci/project/arm/job/{NOTHING}/log",
    f"/ci/project/arm/job/{NOTHING}/artifacts",
)


async def test_a_project_can_be_registered_and_built_later(world: World, alice: httpx.AsyncClient) -> None:
    answer = await alice.post("/ci/new", json={"repo_url": URL})
    assert answer.status_code == 200
    pid = answer.json()["pid"]
    assert answer.json() == {"pid": pid}
    assert ids.is_uuid(pid)
    made = await project_resource(world, pid)
    assert (made.spec.user, made.spec.repo_url) == ("alice", URL)
    shown = (await alice.get("/ci/projects")).json()[pid]
    assert shown == {"created": made.metadata.creation_timestamp, "repo_url": URL}
    assert (await alice.get(f"/ci/project/{pid}/job")).json() == {"jobs": [], "page_count": 1}
    answer = await alice.post(f"/ci/project/{pid}/job", json={"branch": "main", "commit": COMMIT})
    assert answer.json() == {"pid": pid, "jid": answer.json()["jid"]}
    build = await resource(world, answer.json()["jid"])
    assert (build.spec.project, build.spec.user) == (made.metadata.name, "alice")
    assert (build.spec.branch, build.spec.commit, build.spec.attempt) == ("main", COMMIT, 1)
    assert build.metadata.labels[names.MANAGED_BY_LABEL] == names.MANAGED_BY
    assert [owner.uid for owner in build.metadata.owner_references] == [made.metadata.uid]


async def test_the_documented_form_makes_the_project_once(world: World, alice: httpx.AsyncClient) -> None:
    first, second = await asyncio.gather(asked(alice, "twice"), asked(alice, "twice", repo_commit=COMMIT))
    assert first != second
    made = await project_resource(world, "twice")
    assert made.metadata.name == names.project_object("twice")
    jobs = (await alice.get("/ci/project/twice/job")).json()["jobs"]
    assert {job["id"] for job in jobs} == {first, second}


async def test_a_name_belongs_to_the_first_who_asked(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    jid = await asked(alice, "mine")
    body = {"ns": "mine", "repo_type": "git", "repo_url": URL, "repo_branch": "main"}
    answer = await bob.post("/ci/new", json=body)
    text = "project name is taken: choose another `ns`"
    assert (answer.status_code, answer.json()) == (409, {"error_message": text})
    answer = await alice.post("/ci/new", json=body | {"repo_url": URL + "x"})
    assert answer.status_code == 409
    assert "another repository" in answer.json()["error_message"]
    assert "mine" not in (await bob.get("/ci/projects")).json()
    for path in ("", f"/{jid}", f"/{jid}/log", f"/{jid}/artifacts"):
        answer = await bob.get(f"/ci/project/mine/job{path}")
        assert (answer.status_code, answer.json()) == (404, NO_PROJECT)
    for path, wanted in (("", {"branch": "main"}), (f"/{jid}", {"do": "cancel"})):
        answer = await bob.post(f"/ci/project/mine/job{path}", json=wanted)
        assert (answer.status_code, answer.json()) == (404, NO_PROJECT)
    assert (await resource(world, jid)).spec.cancel is None


async def test_of_two_with_one_name_the_older_counts(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    jid = await asked(alice, "older")
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Project",
        "metadata": {"name": "another", "namespace": world.namespaces.workspaces},
        "spec": {"name": "older", "user": "bob", "repoURL": URL},
    }
    first = await project_resource(world, "older")

    async def is_a_second_older() -> bool:
        await world.client.create(Project.api(), world.namespaces.workspaces, body)
        made = await world.client.get(Project.api(), world.namespaces.workspaces, "another")
        if made["metadata"]["creationTimestamp"] > first.metadata.creation_timestamp:
            return True
        await world.client.delete(Project.api(), world.namespaces.workspaces, "another")
        return False

    await eventually(is_a_second_older)
    assert (await alice.get(f"/ci/project/older/job/{jid}")).status_code == 200
    assert (await bob.get("/ci/project/older/job")).json() == NO_PROJECT


async def test_builds_that_outlive_their_project_are_not_shown_to_who_has_its_name_next(
    world: World, alice: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await asked(alice, "left")
    project = (await project_resource(world, "left")).metadata.name
    build = ids.uuid7_at(datetime.now(UTC))
    body = manifest(Build, world.namespaces.workspaces, build, BuildSpec(project=project, user="alice", branch="main"))
    await world.client.create(Build.api(), world.namespaces.workspaces, body)
    kept = await artifacts_of(world, build, b"the arm's secret")
    await log_of(world, build, b"the arm's secret\n")
    await end(world, build, artifacts=kept)
    paths = [f"/{build}", f"/{build}/log", f"/{build}/artifacts"]
    for path in paths:
        assert (await alice.get(f"/ci/project/left/job{path}")).status_code == 200
    await world.client.delete(Project.api(), world.namespaces.workspaces, project)
    own = await asked(bob, "left")
    assert (await project_resource(world, "left")).metadata.name == project
    for path in paths:
        answer = await bob.get(f"/ci/project/left/job{path}")
        assert (answer.status_code, answer.json()) == (404, NO_BUILD)
    answer = await bob.post(f"/ci/project/left/job/{build}", json={"do": "restart"})
    assert (answer.status_code, answer.json()) == (404, NO_BUILD)
    assert [job["id"] for job in (await bob.get("/ci/project/left/job")).json()["jobs"]] == [own]


async def test_a_superuser_sees_all_and_lends_nobody_his_rights(
    world: World, alice: httpx.AsyncClient, root: httpx.AsyncClient
) -> None:
    await asked(alice, "hers")
    assert "hers" in (await root.get("/ci/projects")).json()
    jid = await asked(root, "hers")
    assert (await resource(world, jid)).spec.user == "alice"
    assert (await root.post(f"/ci/project/hers/job/{jid}", json={"do": "cancel"})).status_code == 200


async def test_a_build_is_shown_from_the_queue_to_its_end(world: World, alice: httpx.AsyncClient) -> None:
    first, second = await asked(alice, "life"), await asked(alice, "life", repo_commit=COMMIT[:8])
    path = f"/ci/project/life/job/{second}"
    shown = (await alice.get(path)).json()
    build = await resource(world, second)
    assert shown.pop("position") >= 2
    assert shown == {
        "id": second,
        "pid": "life",
        "status": "queued",
        "branch": "main",
        "commit": COMMIT[:8],
        "created": build.metadata.creation_timestamp,
        "attempt": 1,
    }
    jobs = (await alice.get("/ci/project/life/job")).json()["jobs"]
    assert [job["id"] for job in jobs] == [second, first]
    assert jobs[1]["position"] < jobs[0]["position"]
    running = {"commit": COMMIT, "image": "example.test/image:1", "workspace": "arm"}
    await as_operator(world, second, ended=False, startTime="2026-01-01T00:00:00Z", **running)
    shown = (await alice.get(path)).json()
    assert "position" not in shown
    assert shown["status"] == "running"
    assert shown["message"] == "waits"
    assert (shown["commit"], shown["image"], shown["workspace"]) == tuple(running.values())
    await end(world, second, "ScriptFailed", exitCode=3, message="the script ended with 3", **running)
    shown = (await alice.get(path)).json()
    assert (shown["status"], shown["exit_code"], shown["message"]) == ("failed", 3, "the script ended with 3")
    assert (shown["started"], shown["ended"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z")


async def test_a_build_shows_the_id_of_its_instance(world: World, alice: httpx.AsyncClient) -> None:
    jid = await asked(alice, "leasing")
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Instance",
        "metadata": {"name": f"b-{jid}-1", "namespace": world.namespaces.workspaces},
        "spec": {"workspaceType": "none_of_those", "user": "alice", "sshKeys": []},
    }
    made = await world.made(Instance.api(), body)
    await as_operator(world, jid, startTime="2026-01-01T00:00:00Z", instance=f"b-{jid}-1")

    async def shows() -> bool:
        shown = (await alice.get(f"/ci/project/leasing/job/{jid}")).json()
        return bool(shown.get("instance") == made["metadata"]["uid"])

    await eventually(shows)


async def test_a_build_is_canceled_once(world: World, alice: httpx.AsyncClient) -> None:
    jid = await asked(alice, "canceled")
    path = f"/ci/project/canceled/job/{jid}"
    answer = await alice.post(path, json={"do": "cancel"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await resource(world, jid)).spec.cancel == 1
    assert (await alice.get(path)).json()["status"] == "canceled"
    answer = await alice.post(path, json={"do": "cancel"})
    assert (answer.status_code, answer.json()) == (400, {"error_message": "build is canceled"})


async def test_a_build_that_has_ended_runs_again_under_its_id(world: World, alice: httpx.AsyncClient) -> None:
    jid = await asked(alice, "again")
    path = f"/ci/project/again/job/{jid}"
    answer = await alice.post(path, json={"do": "restart"})
    assert (answer.status_code, answer.json()) == (400, {"error_message": "build has not ended"})
    await end(world, jid, exitCode=0, message="it went well")
    answer = await alice.post(path, json={"do": "cancel"})
    assert (answer.status_code, answer.json()) == (400, {"error_message": "build is passed"})
    answers = await asyncio.gather(*(alice.post(path, json={"do": "restart"}) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400]
    assert (await resource(world, jid)).spec.attempt == 2
    shown = (await alice.get(path)).json()
    assert (shown["status"], shown["attempt"]) == ("queued", 2)
    assert not shown.keys() & {"started", "ended", "exit_code", "message"}
    assert (await alice.get(f"{path}/artifacts")).json() == {"error_message": "no artifacts"}


async def test_lists_have_pages(alice: httpx.AsyncClient) -> None:
    made = [await asked(alice, "paged") for _ in range(3)]
    for number, page in enumerate((made[:0:-1], made[:1]), 1):
        answer = (await alice.get(f"/ci/project/paged/job?max_per_page=2&page={number}")).json()
        assert ([job["id"] for job in answer["jobs"]], answer["page_count"]) == (page, 2)


async def test_what_was_made_with_kubectl_has_its_uid(world: World, alice: httpx.AsyncClient) -> None:
    await asked(alice, "mixed")
    project = (await project_resource(world, "mixed")).metadata.name
    body = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "Build",
        "metadata": {"name": "by-hand", "namespace": world.namespaces.workspaces},
        "spec": {"project": project, "user": "alice", "branch": "main"},
    }
    made = Build.parse(await world.client.create(Build.api(), world.namespaces.workspaces, body))
    await world.client.patch(
        Build.api(), made.metadata.namespace, "by-hand", {"status": {"id": made.public_id}}, subresource="status"
    )
    assert (await alice.get(f"/ci/project/mixed/job/{made.metadata.uid}")).json()["id"] == made.metadata.uid
    assert (await alice.get("/ci/project/mixed/job/by-hand")).json() == NO_BUILD


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/ci/new", {}),
        ("/ci/new", {"repo_url": "nowhere"}),
        ("/ci/new", {"ns": "arm", "repo_type": "git", "repo_url": URL}),
        ("/ci/new", {"ns": "arm", "repo_type": "hg", "repo_url": URL, "repo_branch": "main"}),
        ("/ci/project/arm/job", {}),
        ("/ci/project/arm/job", {"commit": "no hex"}),
        ("/ci/project/arm/job/7", {}),
        ("/ci/project/arm/job/7", {"do": "stop"}),
    ],
)
async def test_wrong_bodies_are_400(alice: httpx.AsyncClient, path: str, body: dict[str, str]) -> None:
    answer = await alice.post(path, json=body)
    assert answer.status_code == 400
    assert "option `" in answer.json()["error_message"]


async def test_who_may_ask(api: Api, signer: Signer, http: httpx.AsyncClient) -> None:
    constrained = user_client(api, signer.token("alice", **{"in": NOTHING}))
    reader = user_client(api, signer.token("alice", sc=["r"]))
    requests = [("POST", path, body) for path, body in WRITING] + [("GET", path, {}) for path in READING]
    async with constrained, reader:
        for method, path, body in requests:
            answer = await http.request(method, path, json=body)
            assert (answer.status_code, answer.json()) == (400, {"error_message": "wrong authorization token"})
            answer = await constrained.request(method, path, json=body)
            text = "token already constrained to another instance"
            assert (answer.status_code, answer.json()) == (400, {"error_message": text})
            answer = await reader.request(method, path, json=body)
            text = "token scope does not permit change"
            refused = (answer.status_code, answer.json()) == (400, {"error_message": text})
            assert refused is (method == "POST"), path


@pytest.mark.parametrize("claims", [{"wt": ["fixed_misty2"]}, {"opt": {"expire_d": 600}}])
async def test_a_token_that_may_not_have_any_machine_starts_no_build(
    api: Api, signer: Signer, world: World, alice: httpx.AsyncClient, claims: dict[str, object]
) -> None:
    jid = await asked(alice, "limited")
    path = f"/ci/project/limited/job/{jid}"
    async with user_client(api, signer.token("alice", **claims)) as limited:
        full = {"ns": "limited2", "repo_type": "git", "repo_url": URL, "repo_branch": "main"}
        assert (await limited.get(path)).status_code == 200
        await end(world, jid)
        requests = (("/ci/new", full), ("/ci/project/limited/job", {"branch": "main"}), (path, {"do": "restart"}))
        for where, body in requests:
            answer = await limited.post(where, json=body)
            assert answer.status_code == 400
            assert "token scope does not permit builds" in answer.json()["error_message"]
        assert "limited2" not in (await limited.get("/ci/projects")).json()


@pytest.mark.release(twin="tests/envtest/operator/test_builds.py::test_who_has_too_many_that_wait_is_told_at_once")
async def test_a_user_has_so_many_projects_and_builds_that_wait(api: Api, signer: Signer, world: World) -> None:
    async with user_client(api, signer.token("collector")) as client:
        first = await asked(client, "collection")
        path = "/ci/project/collection/job"
        body = {"repo_url": URL}
        answers = await asyncio.gather(*(client.post("/ci/new", json=body) for _ in range(projects.MOST - 1)))
        assert {answer.status_code for answer in answers} == {200}
        answer = await client.post("/ci/new", json=body)
        assert answer.status_code == 400
        assert f"at most {projects.MOST} projects" in answer.json()["error_message"]
        for _ in range(service.MOST_WAITING - 1):
            answer = await client.post(path, json={"branch": "main"})
            assert answer.status_code == 200, answer.text
        newest, number = answer.json()["jid"], service.MOST_WAITING

        async def are_heard() -> bool:
            """Whether all are behind the first that were made until the newest."""
            last, one = [(await client.get(f"{path}/{jid}")).json()["position"] for jid in (newest, first)]
            return bool(last - one >= number - 1)

        # They count from when the API has heard of them, and the newest has its place whether or not it has.
        await eventually(are_heard)
        answer = await client.post(path, json={"branch": "main"})
        if answer.status_code == 200:
            newest, number = answer.json()["jid"], number + 1
            await eventually(are_heard)
            answer = await client.post(path, json={"branch": "main"})
        text = f"at most {service.MOST_WAITING} builds of one user may wait: cancel some first"
        assert (answer.status_code, answer.json()) == (400, {"error_message": text})
        found, _ = await world.client.list(Build.api(), world.namespaces.workspaces, fields={"spec.user": "collector"})
        assert len(found) == number


async def test_a_malformed_id_is_an_unrecognized_command(alice: httpx.AsyncClient) -> None:
    for path in ("/ci/project/-/job/7", "/ci/project/a%20b/job/7", "/ci/project/arm/job/", "/ci"):
        answer = await alice.get(path)
        assert (answer.status_code, answer.json()) == (400, {"error_message": "unrecognized command"})
