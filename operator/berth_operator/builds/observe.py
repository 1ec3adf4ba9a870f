"""Observes a build: from the cache, and live where the cache would not do."""

from collections.abc import Iterable
from dataclasses import replace

from berth_core import names, state
from berth_core.kube import conditions
from berth_core.kube.containers import reported
from berth_core.kube.errors import NotFoundError
from berth_core.kube.model import parse_time
from berth_core.kube.types import Object
from berth_core.queue.access import may_instantiate
from berth_core.reading import readable
from berth_core.resources import AccessRule, Build, Instance, Project, WorkspaceDeployment, WorkspaceType
from berth_operator.builds.decide import NO_TYPE, REFUSED
from berth_operator.builds.limits import ahead_of
from berth_operator.builds.manifests.network import repository_egress, why_not
from berth_operator.builds.observed import UNREAD, MachineSeen, PodSeen, SeenBuild, StepSeen
from berth_operator.engine.world import World
from berth_operator.kinds import ACCESS_RULES, BUILDS, DEPLOYMENTS, INSTANCES, JOBS, PODS, PROJECTS, RULES

STEPS = (names.FETCH_STEP, names.RUN_STEP)


async def observe_build(world: World, build: Build) -> SeenBuild:
    """Everything that decides about a build."""
    settings = world.config.ci
    if settings is None:
        raise RuntimeError("no builds are made here: set the value ci.enabled")
    status = build.status
    seen = SeenBuild(
        build,
        most_waiting=settings.most_waiting,
        allowed_images=settings.allowed_images,
        allowed_users=settings.allowed_users,
        clock_trusted=world.clock.trusted,
    )
    namespace, public_id = build.metadata.namespace, build.public_id
    if status.attempt is None:
        return seen
    pods = pods_of(world, namespace, public_id)
    if status.end_time is not None:
        jobs, instances = (world.cache[kind].by("build", public_id, namespace) for kind in (JOBS, INSTANCES))
        return replace(seen, pods=bool(pods), remains=bool(pods or jobs or any(map(_is_kept, instances))))
    project = await _project(world, build)
    seen = replace(seen, pods=bool(pods), project=project)
    if status.reason is not None:
        return seen
    if project is not None:
        url, reached = project.spec.repo_url, repository_egress(world.config)
        seen = replace(seen, forbidden=why_not(url, reached, settings.repository_ports))
    if status.start_time is None:
        return replace(seen, ahead=ahead_of(build, active(world, namespace)))
    fetch, run = [await _step(world, build, step, pods) for step in STEPS]
    machine = machine_of(world, build)
    refused = await _refusal(world, build) if status.workspace and (machine is None or not machine.bound) else None
    door = door_of(world, build, machine) if machine else ""
    return replace(seen, fetch=fetch, run=run, machine=machine, refused=refused, door=door)


def active(world: World, namespace: str) -> list[Build]:
    """Builds of a namespace that are not over."""
    return world.cache[BUILDS].models(Build.parse, "active", "yes", namespace)


def pods_of(world: World, namespace: str, public_id: str) -> list[Object]:
    """Pods of a build, of all its attempts."""
    return world.cache[PODS].by("build", public_id, namespace)


def attempt_of(metadata: Object) -> int:
    """Attempt that something belongs to, by its label; 0 where it has none, or one that is no number."""
    label = str((metadata.get("labels") or {}).get(names.ATTEMPT_LABEL))
    return int(label) if label.isdecimal() else 0


def instance_of(world: World, build: Build) -> Instance | None:
    """Return the Instance that the status names by its uid; another of the same name is none."""
    name = names.build_object(build.public_id, build.status.attempt or 1)
    obj = world.cache[INSTANCES].get(build.metadata.namespace, name)
    if obj is None or obj["metadata"]["uid"] != build.status.instance_uid:
        return None
    return Instance.parse(obj)


def machine_of(world: World, build: Build) -> MachineSeen | None:
    """Observed state of the attempt's Instance."""
    instance = instance_of(world, build)
    if instance is None:
        return None
    status = instance.status
    bound = conditions.find(status.conditions, state.BOUND)
    over = status.reason or ("Terminated" if instance.spec.terminate else "")
    return MachineSeen(
        public_id=instance.public_id,
        bound=status.epoch is not None,
        ready=status.address is not None and conditions.is_true(status.conditions, state.READY),
        over=over or ("Deleted" if instance.metadata.deletion_timestamp else ""),
        message=status.message or "",
        waits_for=bound.message if bound is not None and bound.status != "True" else "",
        host=status.address.ipv4 if status.address else "",
        port=status.address.port if status.address else 0,
        host_keys=tuple(status.host_keys),
    )


def door_of(world: World, build: Build, machine: MachineSeen) -> str:
    """Address that the build's own FirewallRule lets in; empty where there is none."""
    name = names.build_object(build.public_id, build.status.attempt or 1)
    for rule in world.cache[RULES].by("instance", machine.public_id, build.metadata.namespace):
        if rule["metadata"]["name"] == name:
            return str(rule["spec"]["source"]).partition("/")[0]
    return ""


def pod_seen(pod: Object) -> PodSeen:
    """Read a pod as the cache keeps it."""
    status = pod.get("status") or {}
    return PodSeen(
        name=pod["metadata"]["name"],
        ip=status.get("podIP") or "",
        reason=status.get("reason") or "",
        created=parse_time(pod["metadata"]["creationTimestamp"]),
        containers=reported(pod),
    )


def _is_kept(instance: Object) -> bool:
    """Whether an Instance was not asked to end, and has not ended."""
    return not instance["spec"].get("terminate") and not (instance.get("status") or {}).get("endTime")


async def _project(world: World, build: Build) -> Project | None:
    namespace, name = build.metadata.namespace, build.spec.project
    obj = world.cache[PROJECTS].get(namespace, name)
    if obj is None:  # it may have been made a moment ago
        try:
            obj = await world.client.get(PROJECTS, namespace, name)
        except NotFoundError:
            return None
        world.cache[PROJECTS].put(obj)
    return Project.parse(obj)


async def _step(world: World, build: Build, step: str, pods: Iterable[Object]) -> StepSeen | None:
    namespace, attempt = build.metadata.namespace, build.status.attempt or 1
    job = world.cache[JOBS].get(namespace, names.build_job(build.public_id, attempt, step))
    if job is None:
        return None
    holds = {
        entry["type"]: entry for entry in (job.get("status") or {}).get("conditions") or () if entry["status"] == "True"
    }
    failure, pod = holds.get("Failed") or holds.get("FailureTarget"), _pod_of(pods, step, attempt)
    if failure is not None or ("Complete" in holds and pod is None):
        # News of several kinds come in no certain order: the pod, or its last words, may not be known yet.
        pods, _ = await world.client.list(PODS, namespace, labels=names.build_labels(build.public_id, attempt))
        pod = _pod_of(pods, step, attempt)
    if failure is not None:
        return StepSeen(str(failure.get("reason") or "Failed"), pod)
    return StepSeen(UNREAD if "Complete" in holds and pod is None else "", pod)


def _pod_of(pods: Iterable[Object], step: str, attempt: int) -> PodSeen | None:
    step_labels = {names.STEP_LABEL: step, names.ATTEMPT_LABEL: str(attempt)}
    for pod in pods:
        labels = pod["metadata"].get("labels") or {}
        if all(labels.get(key) == value for key, value in step_labels.items()):
            return pod_seen(pod)
    return None


async def _refusal(world: World, build: Build) -> tuple[str, str] | None:
    """Why the build's user will never have the machine; None where they may. Refusals by the cache are read live."""
    namespace, user, type_name = build.metadata.namespace, build.spec.user, build.status.workspace or ""
    kind = await world.find_type(namespace, type_name)
    if kind is None:
        return NO_TYPE, f"there is no type {type_name}: correct `workspace` in .berth.yml"
    deployments = world.cache[DEPLOYMENTS].by("type", type_name, namespace)
    named = (wd["metadata"]["name"] for wd in deployments)
    rules = [rule for name in named for rule in world.cache[ACCESS_RULES].by("deployment", name, namespace)]
    if _may_have_one(user, kind, deployments, rules):
        return None
    live, _ = await world.client.list(DEPLOYMENTS, namespace, fields={"spec.type": type_name})
    theirs = {wd["metadata"]["name"] for wd in live}
    pages = world.client.pages(ACCESS_RULES, namespace)
    rules = [rule async for page, _ in pages for rule in page if rule["spec"]["deployment"] in theirs]
    if _may_have_one(user, kind, live, rules):
        return None
    return REFUSED, f"{user} may have no deployment of type {type_name}: ask its owner for an access rule"


def _may_have_one(user: str, kind: WorkspaceType, deployments: Iterable[Object], rules: Iterable[Object]) -> bool:
    """Whether somebody may have one of a type's deployments, or one that is yet to come where there is none."""
    machines, parsed = readable(WorkspaceDeployment, deployments), readable(AccessRule, rules)
    if not machines:
        return kind.spec.access == "open"
    return any(
        may_instantiate(user, kind, wd, (rule for rule in parsed if rule.spec.deployment == wd.metadata.name))
        for wd in machines
    )
