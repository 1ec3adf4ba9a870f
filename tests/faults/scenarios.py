"""Scenarios for the operator, played undisturbed and then with a kill after each of its writes.

A scenario has a start, an action that begins it, and a condition for its end.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from berth_core import ids, names
from berth_core.kube.types import Object

from ..envtest.operator.builds import COMMIT, build, is_over, project
from ..envtest.operator.lab import BUILDS, DEPLOYMENTS, INSTANCES, PODS, RESERVATIONS, RULES, SECRETS, condition
from .stage import Stage
from .waiting import until

HOME = "198.51.100.7"
Act = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """Something that the operator does, from a settled state to a settled state."""

    name: str
    before: Act
    """Brings everything to where it begins."""
    act: Act
    """Action of people that begins it."""
    over: Act
    """Returns when it is over."""
    points: int
    """Writes of an undisturbed run at the least: the test fails when fewer are covered."""


def is_ready(obj: Object) -> bool:
    return condition(obj, "Ready", "status") == "True"


def has_ended(obj: Object) -> bool:
    return condition(obj, "Ended", "status") == "True"


async def free(stage: Stage) -> None:
    """A deployment that nobody has."""
    await stage.lab.type()
    await stage.lab.deployment("one")


async def ask(stage: Stage) -> None:
    await stage.lab.instance("mine", workspaceType="bench", requesterAddress=HOME)


async def ready(stage: Stage) -> None:
    await stage.lab.until(INSTANCES, "mine", is_ready, seconds=30)


async def ask_for_a_clone(stage: Stage) -> None:
    repo = {"url": "https://git.example.org/lab/arm.git"}
    await stage.lab.instance("mine", workspaceType="bench", requesterAddress=HOME, repo=repo)


async def cloned(stage: Stage) -> None:
    await ready(stage)
    mine = await stage.lab.until(INSTANCES, "mine", lambda o: condition(o, "RepositoryReady") == "Cloned", seconds=30)
    assert COMMIT in (condition(mine, "RepositoryReady", "message") or "")


async def held(stage: Stage) -> None:
    """Somebody works on it."""
    await free(stage)
    await ask(stage)
    await ready(stage)


async def held_for_moments(stage: Stage) -> None:
    await free(stage)
    await stage.lab.instance("mine", workspaceType="bench", requesterAddress=HOME, expireAfter=8)
    await ready(stage)


async def kept_warm(stage: Stage) -> None:
    """A deployment that nobody has, and a pod that runs for its first lease."""
    await stage.lab.type(warm=True)
    await stage.lab.deployment("one")
    await runs_warm(stage, 1)


async def runs_warm(stage: Stage, epoch: int) -> None:
    name = names.warm_object(ids.deployment_id(stage.lab.namespace, "one"), epoch)
    await stage.lab.until(PODS, name, lambda pod: pod["status"].get("phase") == "Running", seconds=30)


async def held_warm(stage: Stage) -> None:
    await kept_warm(stage)
    await ask(stage)
    await ready(stage)


async def followed(stage: Stage) -> None:
    """It has ended, and the pod for the next lease runs."""
    await ended(stage)
    await runs_warm(stage, 2)


async def terminate(stage: Stage) -> None:
    await stage.lab.client.patch(INSTANCES, stage.lab.namespace, "mine", {"spec": {"terminate": True}})


async def ended(stage: Stage) -> None:
    await stage.lab.until(INSTANCES, "mine", has_ended, seconds=40)


async def delete(stage: Stage) -> None:
    await stage.lab.client.delete(INSTANCES, stage.lab.namespace, "mine")


async def gone(stage: Stage) -> None:
    await stage.lab.until_gone(INSTANCES, "mine", seconds=30)
    await stage.lab.until(DEPLOYMENTS, "one", lambda wd: condition(wd, "Available") == "Free", seconds=30)


async def locked(stage: Stage) -> None:
    """A deployment that nobody may have at present."""
    await free(stage)
    await lock(stage, shut=True)
    await stage.lab.until(DEPLOYMENTS, "one", lambda wd: condition(wd, "Available") == "Lockout", seconds=30)


async def lock(stage: Stage, *, shut: bool) -> None:
    await stage.lab.client.patch(DEPLOYMENTS, stage.lab.namespace, "one", {"spec": {"lockout": shut}})


async def wait_in_line(stage: Stage) -> None:
    """Ask for a place in the queue, with no key, and to be told; once it says that it waits, there is what it wants."""
    wish = {"sshKeys": [], "requesterAddress": HOME}
    await stage.lab.reservation("place", workspaceType="bench", eventUrl="https://example.org/", wish=wish)
    await stage.lab.until(RESERVATIONS, "place", lambda o: condition(o, "Waiting", "status") == "True", seconds=30)
    await lock(stage, shut=False)


async def served(stage: Stage) -> None:
    """The turn has come, and what was made in it is ready."""
    done = await stage.lab.until(
        RESERVATIONS, "place", lambda o: condition(o, "Fulfilled", "status") == "True", seconds=30
    )
    made = await stage.lab.until(INSTANCES, done["status"]["grant"]["instance"], is_ready, seconds=30)
    secret = await stage.lab.get(SECRETS, f"i-{made['metadata']['name']}", stage.lab.namespaces.access)
    key = secret["metadata"]["annotations"]["berth.dev/public-key"]
    assert made["spec"]["sshKeys"] == [key], "the private key that the user may fetch opens what was made"


async def nothing(_stage: Stage) -> None:
    """Time passes."""


async def change_rules(stage: Stage) -> None:
    """One rule more, and once that is in force the first one goes."""
    instance = await stage.lab.get(INSTANCES, "mine")
    spec = {"instance": instance["metadata"]["uid"], "order": 1, "source": "203.0.113.0/24", "action": "DROP"}
    await stage.lab.create(RULES, "second", spec)
    await stage.lab.until(RULES, "second", lambda rule: condition(rule, "InForce", "status") == "True", seconds=30)
    await stage.lab.client.delete(RULES, stage.lab.namespace, "mine-0")


async def rules_changed(stage: Stage) -> None:
    """The agent lets nobody in any more from where the first rule spoke of."""
    await until(lambda: HOME not in stage.machine.in_force()["table"], "the first rule is out of force", 30)


async def lived(stage: Stage) -> None:
    """It was ready and has ended, and somebody else works on the deployment."""
    await ready(stage)
    await terminate(stage)
    await ended(stage)
    await stage.lab.instance("next", workspaceType="bench", requesterAddress=HOME)
    await stage.lab.until(INSTANCES, "next", is_ready, seconds=30)


async def to_build_on(stage: Stage) -> None:
    """A project, and a deployment that nobody has."""
    await free(stage)
    await project(stage.lab)


async def push(stage: Stage) -> None:
    """A build is asked for; its script is let into a machine of its own."""
    await build(stage.lab, "one")


async def built(stage: Stage) -> None:
    """It has passed, and given its machine back."""
    await stage.lab.until(BUILDS, "one", lambda o: o.get("status"), seconds=30)
    over = await is_over(stage.lab, "one", seconds=60)
    assert over["status"]["reason"] == "Passed", over["status"]
    await stage.lab.until(INSTANCES, f"b-{over['metadata']['uid']}-1", has_ended, seconds=30)
    await stage.lab.until(DEPLOYMENTS, "one", lambda wd: condition(wd, "Available") == "Free", seconds=30)


SCENARIOS = (
    Scenario("launch", free, ask, ready, points=12),
    Scenario("launch with a repository", free, ask_for_a_clone, cloned, points=12),
    Scenario("teardown", held, terminate, ended, points=13),
    Scenario("deletion", held, delete, gone, points=14),
    Scenario("expiry", held_for_moments, nothing, ended, points=13),
    Scenario("firewall", held, change_rules, rules_changed, points=5),
    Scenario("turn", locked, wait_in_line, served, points=18),
    Scenario("build", to_build_on, push, built, points=40),
    Scenario("warm launch", kept_warm, ask, ready, points=9),
    Scenario("warm teardown", held_warm, terminate, followed, points=16),
)


async def change_rules_twice(stage: Stage) -> None:
    """The one rule goes, and once nobody is let in another says the same."""
    instance = await stage.lab.get(INSTANCES, "mine")
    before = instance["status"]["firewall"]["generation"]
    await stage.lab.client.delete(RULES, stage.lab.namespace, "mine-0")
    await rules_changed(stage)
    # Else the report of both would be one write, where the operator is slow.
    await stage.lab.until(INSTANCES, "mine", lambda o: o["status"]["firewall"]["generation"] > before, seconds=60)
    spec = {"instance": instance["metadata"]["uid"], "order": 0, "source": f"{HOME}/32", "action": "ACCEPT"}
    await stage.lab.create(RULES, "again", spec)


async def as_before(stage: Stage) -> None:
    await stage.lab.until(RULES, "again", lambda rule: condition(rule, "InForce", "status") == "True", seconds=30)


# More of which the beginning is disturbed: what was under way then is out of date in the end.
LIFE = Scenario("life", free, ask, lived, points=12)
REVISED = Scenario("revised", held, change_rules_twice, as_before, points=5)
