"""An instance with a repository. The tests play the cloning container: tests/e2e/test_repository.py has real ones."""

import json

import pytest

from berth_core.kube.types import Object
from berth_dev.envtest.puppets import Puppets

from .killing import kill, succeed
from .lab import INSTANCES, PODS, Lab, condition
from .process import Operators

pytestmark = pytest.mark.apiserver
OFFERED = {"BERTH_CLONE_IMAGE": "berth.invalid/ci:test"}
URL = "https://git.example.org/lab/arm.git"
COMMIT = "0123456789abcdef" * 2 + "01234567"


async def serving(lab: Lab, **repo: str) -> Object:
    """An instance that is ready; as it is then."""
    name = await lab.instance(workspaceType="bench", repo={"url": URL, **repo})
    return await lab.until(INSTANCES, name, lambda o: condition(o, "Ready", "status") == "True", seconds=20)


async def told(lab: Lab, instance: Object) -> tuple[str | None, str | None, str]:
    """Condition RepositoryReady once it is known: status, reason, message."""
    name = instance["metadata"]["name"]
    final = ("Cloned", "CloneFailed", "Unfit", "NotOffered")
    found = await lab.until(INSTANCES, name, lambda o: condition(o, "RepositoryReady") in final, seconds=20)
    status, reason = condition(found, "RepositoryReady", "status"), condition(found, "RepositoryReady")
    return status, reason, condition(found, "RepositoryReady", "message") or ""


async def container_of(lab: Lab, instance: Object) -> Object | None:
    """The cloning container of its pod, with the path of the clone in the workspace."""
    spec = (await lab.get(PODS, f"i-{instance['metadata']['name']}"))["spec"]
    found = next((one for one in spec["initContainers"] if one["name"] == "repo"), None)
    mounts = {mount["name"]: mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]}
    return None if found is None else {**found, "place": mounts["berth-repo"]}


async def test_what_came_of_the_clone_is_said_and_none_keeps_anybody_from_his_shell(
    lab: Lab, operators: Operators, puppets: Puppets
) -> None:
    operators.start(**OFFERED)
    await lab.type()
    for name in ("one", "two", "three"):
        await lab.deployment(name)
    puppets.last_words["repo"] = json.dumps({"commit": COMMIT})
    good = await serving(lab)
    assert await told(lab, good) == ("True", "Cloned", f"commit {COMMIT} is checked out")
    container = await container_of(lab, good)
    assert container is not None
    assert (container["image"], container["place"]) == ("berth.invalid/ci:test", "/root/arm")

    puppets.last_words["repo"] = json.dumps(
        {"error": "RepositoryNotFound", "message": "there is none: correct the URL"}
    )
    bad = await serving(lab, path="/srv/arm")
    said = "RepositoryNotFound: there is none: correct the URL"
    assert await told(lab, bad) == ("False", "CloneFailed", said)

    puppets.last_words["repo"] = "no JSON"
    status, reason, message = await told(lab, await serving(lab))
    assert (status, reason, "clone inside" in message) == ("False", "CloneFailed", True)

    # Another leader says the same, and a pod that is made again clones again.
    await kill(operators)
    await succeed(lab, operators, **OFFERED)
    puppets.last_words["repo"] = json.dumps({"commit": ""})
    name = bad["metadata"]["name"]
    pod = await lab.get(PODS, f"i-{name}")
    # Its pass has been over the instance once a change of the spec is observed.
    wanted = await lab.client.patch(INSTANCES, lab.namespace, name, {"spec": {"expireAfter": 7200}})
    generation = wanted["metadata"]["generation"]
    seen = await lab.until(INSTANCES, name, lambda o: o["status"]["observedGeneration"] == generation, seconds=30)
    assert condition(seen, "RepositoryReady", "message") == said
    await lab.client.delete(PODS, lab.namespace, f"i-{name}", uid=pod["metadata"]["uid"], grace_seconds=1)
    found = await lab.until(INSTANCES, name, lambda o: condition(o, "RepositoryReady") == "Cloned", seconds=30)
    assert condition(found, "RepositoryReady", "message") == "its default branch has no commit"


async def test_one_that_has_no_room_in_the_type_is_not_cloned_and_says_so(
    lab: Lab, operators: Operators, puppets: Puppets
) -> None:
    operators.start(**OFFERED)
    volume = {"name": "data", "mountPath": "/root/arm", "emptyDir": {}}
    await lab.type(template={"image": "workspace.invalid/none:1", "volumes": [volume]})
    await lab.deployment("one")
    instance = await serving(lab)
    status, reason, message = await told(lab, instance)
    assert (status, reason) == ("False", "Unfit")
    assert "the type's volume at /root/arm: choose another `path`" in message
    assert await container_of(lab, instance) is None


async def test_where_none_is_offered_the_instance_says_so_and_is_ready_all_the_same(
    lab: Lab, operators: Operators, puppets: Puppets
) -> None:
    operators.start()
    await lab.type()
    await lab.deployment("one")
    instance = await serving(lab)
    assert (await told(lab, instance))[:2] == ("False", "NotOffered")
    assert await container_of(lab, instance) is None
