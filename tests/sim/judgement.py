"""Checks of what must be so when all is quiet, and when everything has ended."""

import gc
from typing import Final

from berth_core import names, state
from berth_core.ids import instance_id
from berth_core.kube import conditions
from berth_core.kube.types import Object
from berth_core.leases.availability import AVAILABLE, availability
from berth_core.resources import WorkspaceDeployment

from .cluster import ACCESS, LAB, node_of
from .loops import MOST_STEPS
from .oracle import SWEPT_SECONDS, TYPE_WALL
from .stage import Stage

ORPHAN_SECONDS: Final = 45.0
"""After so long a lease whose Instance has not come has been given back: it is missed for 30 s first."""
READY_SECONDS: Final = 45.0
"""After so long an instance that has a lease has become ready, where nothing goes wrong any more."""
TURN_SECONDS: Final = 10.0
"""After so long one who waits for what is free has it, also where messages are slow."""
RULED_SECONDS: Final = 5.0
"""After so long a rule that was made or deleted is in force: the news and the push may take 2 s each."""
SETTLED_SECONDS: Final = 10.0
"""After so long the passes that follow an instance's becoming ready are through, also where each request is slow."""
LEFT: Final = ("pods", "secrets", "services", "jobs", "networkpolicies", "firewallrules")


def at_peace(stage: Stage) -> None:
    """Judge a while after everything healed, before all is ended."""
    store, violated = stage.cluster.store, stage.cluster.violated
    instances = {_id(obj): obj for obj in store.all("instances", LAB)}
    for obj in store.all("workspacedeployments", LAB):
        lease = (obj.get("status") or {}).get("lease")
        if lease is not None and _since(stage, obj) > ORPHAN_SECONDS:
            _in_use(stage, obj["metadata"]["name"], lease["instance"], exists=lease["instance"] in instances)
    for public_id, obj in instances.items():
        status = obj.get("status") or {}
        if status.get("reason"):
            continue
        if status.get("readyTime"):
            _ready(stage, public_id, status)
        elif public_id not in stage.oracle.given_up:
            _not_ready(stage, public_id)
    for reservation in stage.oracle.reserved - stage.oracle.given_up:
        if store.find("reservations", LAB, reservation) is None:
            violated("I4: a reservation that a client was told of is not there")
    _can_start(stage)
    for operator in stage.operators:
        operator.idle_in = operator.terms if operator.works and not operator.leads else 0
    _nobody_waits_for_what_is_free(stage)
    for part in stage.parts.values():
        part.at_peace()


def _ready(stage: Stage, public_id: str, status: Object) -> None:
    """Judge an instance that was ready: it runs, says that it is ready, and has its Service and its rules."""
    violated = stage.cluster.violated
    _firewall(stage, public_id, status)
    if not any(pod.holder == public_id for pod in stage.nodes.running.values()):
        violated("I4: an instance that was ready does not run, though all is quiet")
    elif not any(c["type"] == state.READY and c["status"] == "True" for c in status.get("conditions") or ()):
        if _node_is_ready(stage, status["deployment"]):
            violated("I4: an instance that runs does not say that it is ready")
    of = {names.DEPLOYMENT_LABEL: status.get("deployment"), names.EPOCH_LABEL: str(status.get("epoch"))}
    services = [obj["metadata"].get("labels") or {} for obj in stage.cluster.store.all("services", LAB)]
    if not any(of.items() <= labels.items() for labels in services):
        violated("I4: an instance that was ready has no Service")


def _node_is_ready(stage: Stage, machine: str) -> bool:
    """Whether the node of a machine is there and Ready: one whose machine is silent may stay otherwise."""
    node = stage.cluster.store.find("nodes", None, node_of(machine)) or {}
    told = (node.get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in told)


def _not_ready(stage: Stage, public_id: str) -> None:
    """Judge an instance that was never ready: it has no lease yet, or the node of its machine is not Ready."""
    has = {
        machine: held for machine, held in stage.oracle.held.items() if (held.lease or {}).get("instance") == public_id
    }
    for machine, held in has.items():
        if not _node_is_ready(stage, machine):
            return
        if stage.world.now - held.since > READY_SECONDS:
            stage.cluster.violated("I4: an instance that has a lease does not become ready")
    if public_id in stage.oracle.promised:
        stage.cluster.violated("I4: an instance that a client was told of never came")


def _in_use(stage: Stage, deployment: str, public_id: str, *, exists: bool) -> None:
    """Judge a lease that was held for long: its instance uses it."""
    oracle = stage.oracle
    waits = public_id in {waiter.instance for waiter in oracle.queue.waiting.values()}
    if oracle.is_used(deployment, oracle.held[deployment]):
        return
    if not exists:
        stage.cluster.violated("I4: a lease without an Instance was not given back within 30 s")
    elif waits:
        stage.cluster.violated("I4: a lease was taken for one that waits, and does not begin")
    else:
        stage.cluster.violated("I4: a lease that its instance does not use was not given back within 30 s")


def _firewall(stage: Stage, public_id: str, status: Object) -> None:
    """I7: what is in force is what the rules say, once the last change of theirs can have come."""
    if stage.world.now - stage.oracle.ruled.get(public_id, -RULED_SECONDS) < RULED_SECONDS:
        return
    told = (status.get("firewall") or {}).get("digest")
    for pod in stage.nodes.running.values():
        if pod.holder == public_id and not pod.hook:
            if pod.in_force is None:
                stage.cluster.violated("I7: no rules are in force, though all is quiet")
            elif told != pod.in_force.digest:
                stage.cluster.violated("I7: an instance does not say what is in force, though all is quiet")
            elif pod.in_force.digest != stage.rules_digest(public_id):
                stage.cluster.violated("I7: the ruleset in force differs from the rules, though all is quiet")
            _walls(stage, pod.name, public_id)
    for rule in stage.cluster.store.all("firewallrules", LAB):
        told = (rule.get("status") or {}).get("conditions") or ()
        says_so = any(c["type"] == "InForce" and c["status"] == "True" for c in told)
        if rule["spec"]["instance"] == public_id and not says_so:
            stage.cluster.violated("I7: a rule does not say that it is in force, though all is quiet")


def _walls(stage: Stage, pod: str, public_id: str) -> None:
    """I7: the NetworkPolicy of the type stands, and with exact sources that of the lease, which is what the rules say.

    That of the type lets everybody in, or with exact sources the operator alone.
    """
    find, exact = stage.cluster.store.find, stage.setting.exact
    shared = find("networkpolicies", LAB, TYPE_WALL)
    if shared is None or exact != all("from" in entry for entry in shared["spec"]["ingress"]):
        stage.cluster.violated("I7: the NetworkPolicy of the type is not as it must be, though all is quiet")
    own = find("networkpolicies", LAB, pod)
    if not exact:
        return
    if own is None or (_let_in(own) != stage.let_in(public_id) and not _may_be_old(stage, pod, public_id)):
        stage.cluster.violated("I7: a NetworkPolicy is not what the rules say, though all is quiet")


def _may_be_old(stage: Stage, name: str, public_id: str) -> bool:
    """Whether a NetworkPolicy was written by a late request; the next sweep finds it (docs/explanation/status.md)."""
    written = stage.oracle.walled.get(name, 0.0)
    came_late = written - stage.oracle.ruled.get(public_id, written) > SETTLED_SECONDS
    return came_late and stage.world.now - written < SWEPT_SECONDS


def _let_in(policy: Object) -> set[str]:
    blocks = [peer["ipBlock"] for entry in policy["spec"]["ingress"] for peer in entry["from"] if "ipBlock" in peer]
    return {network for block in blocks for network in (block["cidr"], *block.get("except", ()))}


def _can_start(stage: Stage) -> None:
    """Judge that all Secrets are there for which a pod waits; one that runs has mounted them."""
    find = stage.cluster.store.find
    for pod in stage.cluster.store.all("pods", LAB):
        waits = (pod.get("status") or {}).get("phase") == "Pending" and not pod["metadata"].get("deletionTimestamp")
        mounted = [volume["secret"]["secretName"] for volume in pod["spec"].get("volumes") or () if "secret" in volume]
        if waits and any(find("secrets", LAB, name) is None for name in mounted):
            stage.cluster.violated("I4: a pod waits for a Secret that is not there, though all is quiet")


def _nobody_waits_for_what_is_free(stage: Stage) -> None:
    able = stage.oracle.able()
    waits = any(waiter.user in able for waiter in stage.oracle.queue.waiting.values())
    for obj in stage.cluster.store.all("workspacedeployments", LAB):
        deployment = WorkspaceDeployment.parse(obj)
        free = availability(deployment, now=stage.world.wall()).status == "True"
        if free and _since(stage, obj) > TURN_SECONDS:
            if not conditions.is_true(deployment.status.conditions, AVAILABLE):
                stage.cluster.violated("I4: a machine that can be had does not say so")
            elif waits:
                stage.cluster.violated("I4: somebody waits, and a machine is free")
        elif not free and conditions.is_true(deployment.status.conditions, AVAILABLE):
            stage.cluster.violated("I4: a machine that cannot be had says that it can")


def _since(stage: Stage, deployment: Object) -> float:
    """Seconds for which a deployment is held by the same one, or by nobody."""
    held = stage.oracle.held.get(deployment["metadata"]["name"])
    return stage.world.now - held.since if held is not None else 0.0


def _id(obj: Object) -> str:
    return instance_id(obj["metadata"]["name"], obj["metadata"]["uid"])


def is_over(stage: Stage) -> bool:
    """Whether everything has ended and nobody waits."""
    store = stage.cluster.store
    ended = all((obj.get("status") or {}).get("endTime") for obj in store.all("instances", LAB))
    settled = all(_settled(obj) for obj in store.all("reservations", LAB))
    return ended and settled and all(part.is_over() for part in stage.parts.values())


def _settled(reservation: Object) -> bool:
    told = (reservation.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Fulfilled" for condition in told)


def at_the_end(stage: Stage) -> None:
    """Judge when everything was asked to end."""
    store, violated = stage.cluster.store, stage.cluster.violated
    for obj in store.all("workspacedeployments", LAB):
        if (obj.get("status") or {}).get("lease"):
            violated("I4: a lease is held at the end")
    for obj in store.all("instances", LAB):
        if not (obj.get("status") or {}).get("endTime"):
            violated(f"I4: an instance has not ended at the end ({(obj.get('status') or {}).get('reason')})")
    if any(not _settled(obj) for obj in store.all("reservations", LAB)):
        violated("I4: a reservation is not settled at the end")
    for obj in store.all("accounts", ACCESS):
        if (obj.get("status") or {}).get("slots"):
            violated("I4: a slot is left at the end")
    for plural in LEFT:
        left = [obj for obj in store.all(plural, LAB) if _is_over(stage, obj)]
        if left:
            invariant = "I6" if plural == "secrets" else "I5"
            violated(f"{invariant}: {plural} of what has ended are left")
            stage.cluster.say("ORACLE", "left", plural, " ".join(obj["metadata"]["name"] for obj in left))
    if any(obj["metadata"]["name"].startswith("i-") for obj in store.all("secrets", ACCESS)):
        violated("I6: private keys of what has ended are left")
    for operator in stage.operators:
        still = operator.works and not operator.leads and not operator.loop.dead
        if still and operator.idle_in == operator.terms:
            violated("I4: an operator goes on though it leads no more, and so never stands for the lead again")
    if any(pod.holder for pod in stage.nodes.running.values()):
        violated("I5: a pod of what has ended runs at the end")
    for part in stage.parts.values():
        part.at_the_end()


def of_processes(stage: Stage) -> None:
    """Judge how the processes went: none failed with an error that nobody caught, and none is busy for ever."""
    gc.collect(0)  # a task that failed says so when it is collected
    world = stage.world
    for failure in [*world.failures, *(failure for loop in world.loops for failure in loop.failures)]:
        stage.cluster.violated(f"crash: {failure}"[:200])
    if world.steps > MOST_STEPS:
        stage.cluster.violated("I4: processes keep each other busy for ever")


def _is_over(stage: Stage, obj: Object) -> bool:
    """Whether an object belongs to what has ended: not what is warm for the next lease, or the type's."""
    labels = obj["metadata"].get("labels") or {}
    if names.WARM_LABEL not in labels:
        return bool(obj["metadata"]["name"] != TYPE_WALL)
    held = stage.oracle.held.get(labels.get(names.DEPLOYMENT_LABEL, ""))
    return held is None or int(labels.get(names.EPOCH_LABEL) or 0) <= held.epoch
