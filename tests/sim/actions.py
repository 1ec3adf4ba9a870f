"""Actions of people: each one of a plan, carried out on the stage."""

from collections.abc import Sequence
from typing import TypeVar

from berth_core.ids import instance_id
from berth_core.kube.types import Object
from berth_operator.kinds import DEPLOYMENTS, RULES, SECRETS

from .cluster import LAB
from .plan import Event
from .stage import Stage
from .users import Users

T = TypeVar("T")


def act(stage: Stage, users: Users, event: Event) -> None:
    """Carry out one action; nothing where there is nothing to do it to."""
    user, short = event.user, stage.setting.expire_after
    match event.what:
        case "launch" | "queue":
            expire = short if event.other < 0.3 else None
            users.launch(user, reserve=event.what == "queue" or event.other > 0.8, expire=expire)
        case "kubectl":
            stage.instance(user)
        case "kubectl-short":
            stage.instance(user, expireAfter=5)
        case "kubectl-delete":
            name = stage.instance(user)
            stage.world.at(event.length * event.other, lambda: _end(stage, name, delete=event.chance < 0.7))
        case "reserve":
            stage.reservation(user, priority=int(event.other * 3) if event.chance < 0.3 else 0)
        case "lockout":
            lock_out(stage, _chosen(stage.machines, event.chance), event.length)
        case "replace":
            _make_again(stage, _chosen(stage.machines, event.chance))
        case "spoil":
            _spoil(stage)
        case "cancel":
            if own := users.reservations.get(user):
                users.cancel(user, own.pop(int(event.chance * len(own))))
        case "again":
            users.again(user)
        case "end":
            _end_some(stage, users, event)
        case _:
            _use(stage, users, event)


def _end_some(stage: Stage, users: Users, event: Event) -> None:
    """End something of a user's: over HTTP what came over HTTP, else with kubectl."""
    found = stage.active(event.user)
    if not found:
        return
    name = _chosen(found, event.chance)["metadata"]["name"]
    if name in users.instances.get(event.user, ()) and event.other < 0.8:
        users.end(event.user, name)
    else:
        _end(stage, name, delete=event.other > 0.6)


def _end(stage: Stage, name: str, *, delete: bool) -> None:
    stage.oracle.let_go(name)
    stage.end(name, delete=delete)


def _use(stage: Stage, users: Users, event: Event) -> None:
    """Use an instance that somebody has."""
    if event.what == "rule" and event.other < 0.4:
        _kubectl_rule(stage, event)
        return
    own = users.instances.get(event.user)
    if not own:
        return
    chosen = _chosen(own, event.chance)
    match event.what:
        case "rule":
            source = f"203.0.113.{int(event.other * 200)}"
            users.ask(event.user, f"/rule/{chosen}", {"src": source, "action": "ACCEPT"}, lambda *_: None)
        case "clear":
            users.ask(event.user, f"/clear/{chosen}", {}, lambda *_: None)
        case "ping":
            users.ask(event.user, f"/ka/{chosen}", {}, lambda *_: None)
        case "show":
            users.show(event.user, chosen)


def _kubectl_rule(stage: Stage, event: Event) -> None:
    """Make a rule of an instance that runs, or delete one."""
    living = [obj for obj in stage.active() if (obj.get("status") or {}).get("readyTime")]
    if not living:
        return
    metadata = _chosen(living, event.chance)["metadata"]
    public_id, name = instance_id(metadata["name"], metadata["uid"]), f"x-{metadata['name']}-{int(event.other * 5)}"
    if stage.cluster.store.find("firewallrules", LAB, name) is not None:
        stage.cluster.write("DELETE", RULES, name, sender="kubectl")
    else:
        spec: Object = {"instance": public_id, "order": stage.number(), "source": "203.0.113.0/24", "action": "ACCEPT"}
        stage.made(RULES, name, spec, "kubectl")


def lock_out(stage: Stage, machine: str, seconds: float) -> None:
    """Let nobody have a machine for some time."""

    def write(value: bool) -> None:
        stage.cluster.write("PATCH", DEPLOYMENTS, machine, body={"spec": {"lockout": value}}, sender="kubectl")

    write(True)
    stage.world.at(seconds, lambda: write(False))


def _make_again(stage: Stage, machine: str) -> None:
    """Delete a deployment, and make it again as soon as it is gone (``kubectl replace --force``)."""

    def again() -> None:
        if stage.cluster.store.find("workspacedeployments", LAB, machine) is None:
            stage.made(DEPLOYMENTS, machine, stage.specs[machine], "kubectl")
        elif not stage.world.over:
            stage.world.at(0.3, again)

    if stage.cluster.store.find("workspacedeployments", LAB, machine) is not None:
        stage.cluster.write("DELETE", DEPLOYMENTS, machine, sender="kubectl")
        again()


def _spoil(stage: Stage) -> None:
    """Delete all Secrets of workspaces."""
    for obj in stage.cluster.store.all("secrets", LAB):
        stage.cluster.write("DELETE", SECRETS, obj["metadata"]["name"], sender="kubectl")


def _chosen(found: Sequence[T], chance: float) -> T:
    return found[int(chance * len(found))]
