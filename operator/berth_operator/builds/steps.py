"""The steps of a build: find its commit, get its machine, run its script. Each can be repeated."""

import base64
from typing import Final

import structlog

from berth_core import builds, names
from berth_core.firewall import Egress, egress_rules, parse_source
from berth_core.kube.conditions import condition, merged
from berth_core.kube.errors import AlreadyExistsError, InvalidError, NotFoundError
from berth_core.kube.types import Object
from berth_core.resources import Build, FirewallRule, FirewallRuleSpec, Instance, InstanceSpec, manifest
from berth_core.resources.base import ObjectMeta
from berth_operator.builds.decide import AFTER_SECONDS, BEFORE_SECONDS, REFUSED, Plan
from berth_operator.builds.manifests.jobs import BuildParts, fetch_job, run_job
from berth_operator.builds.manifests.network import (
    MachineDoor,
    machine_rules,
    policy,
    repository_egress,
    repository_rules,
    script_egress,
)
from berth_operator.builds.observe import instance_of
from berth_operator.builds.observed import SeenBuild
from berth_operator.engine.world import World
from berth_operator.engine.writes import create, refresh, write_status
from berth_operator.errors import OperatorError
from berth_operator.kinds import INSTANCES, JOBS, PLACES, POLICIES, RULES, SECRETS
from berth_operator.leases.nonces import new_nonce
from berth_operator.podspec import wall
from berth_operator.podspec.network import dns_peers, type_egress
from berth_operator.podspec.secrets import new_host_key, opaque

log = structlog.get_logger(__name__)

NO_CREDENTIALS: Final = "CredentialsMissing"
NAME_TAKEN: Final = "NameTaken"
MACHINE_KEY: Final = "key"
"""Key of the Secret that opens the machine; its public half has `.pub` after it."""


class BuildEndsError(OperatorError):
    """The build ends here: a word and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


async def start_fetching(world: World, parts: BuildParts) -> None:
    """Start the Job that finds the commit."""
    namespace, project = parts.build.metadata.namespace, parts.project
    if (credentials := project.spec.credentials) is not None:
        jobs, _ = await world.client.list(
            SECRETS, namespace, fields={"metadata.name": credentials.secret}, metadata_only=True
        )
        if not jobs:
            message = f"there is no Secret {credentials.secret} beside the Project: make it, then restart the build"
            raise BuildEndsError(NO_CREDENTIALS, message)
    # Not applied: one that comes late must not take the script's own policy back.
    await create(world, POLICIES, fetch_policy(world, parts))
    await _make_job(world, fetch_job(parts))


async def resolve(world: World, build: Build, plan: Plan) -> None:
    """Write down the commit and the recipe of a build."""
    report, now = plan.report, world.now()
    if report is None:
        raise RuntimeError("only a build with a report is resolved")
    shown = [condition(builds.RESOLVED, True, "Found", f"commit {report.commit}", now=now)]
    if report.workspace is not None:
        message = "it has not asked for its machine yet"
        shown.append(condition(builds.WORKSPACE_READY, False, builds.POSTPONED, message, now=now))
    fields = {
        "commit": report.commit,
        "image": report.image,
        "workspace": report.workspace,
        "timeout": report.timeout,
        "conditions": merged(build.status.conditions, shown),
    }
    await write_status(world, build, build.status, build.status.model_copy(update=fields))
    log.info("resolved", build=build.public_id, commit=report.commit, workspace=report.workspace)
    world.add(PLACES, build.metadata.namespace, "")


async def ask_for_machine(world: World, parts: BuildParts) -> None:
    """Ask for the machine in the ordinary queue, with a key pair of the attempt's own.

    The Instance's name can be known before, so another may take it first: then the build ends.
    """
    build, name = parts.build, parts.secret
    namespace = build.metadata.namespace
    spec = InstanceSpec(
        workspace_type=build.status.workspace,
        user=build.spec.user,
        ssh_keys=[await _machine_key(world, parts)],
        expire_after=BEFORE_SECONDS + (build.status.timeout or 0) + AFTER_SECONDS,
    )
    labels = names.build_labels(parts.id, parts.attempt)
    owners = [build.reference() | {"blockOwnerDeletion": False}]
    body = manifest(Instance, namespace, name, spec, labels=labels, ownerReferences=owners)
    try:
        instance = await world.client.create(INSTANCES, namespace, body)
    except AlreadyExistsError:
        instance = await world.client.get(INSTANCES, namespace, name)
        if not is_made_as(Instance.parse(instance), build, spec):
            raise _name_taken("Instance", name) from None
    except InvalidError as error:
        raise BuildEndsError(REFUSED, f"the machine was refused: {error.message}") from error
    world.cache[INSTANCES].put(instance)
    fields = {"instance": name, "instance_uid": instance["metadata"]["uid"]}
    await write_status(world, build, build.status, build.status.model_copy(update=fields))
    log.info("machine asked for", build=parts.id, workspace=build.status.workspace)


async def _machine_key(world: World, parts: BuildParts) -> str:
    """Public half of the key to the machine, whose Secret is made where an earlier try has not."""
    pair, public = new_host_key(), f"{MACHINE_KEY}.pub"
    body = opaque(parts.metadata(parts.secret), {MACHINE_KEY: pair.private, public: pair.public.encode()})
    if await create(world, SECRETS, body) is not None:
        return pair.public
    secret = await world.client.get(SECRETS, parts.build.metadata.namespace, parts.secret)
    key = (secret.get("data") or {}).get(public)
    if key is None or not is_owned(ObjectMeta.model_validate(secret["metadata"]), parts.build):
        raise _name_taken("Secret", parts.secret)
    return base64.b64decode(key).decode("ascii", "replace")


def is_owned(metadata: ObjectMeta, build: Build) -> bool:
    """Whether something has the labels and the owner of what a build's attempt makes. Both can be forged."""
    labels = names.build_labels(build.public_id, build.status.attempt or 1)
    owned = any(owner.uid == build.metadata.uid for owner in metadata.owner_references)
    return owned and metadata.labels.items() >= labels.items()


def is_made_as(instance: Instance, build: Build, spec: InstanceSpec) -> bool:
    """Whether an earlier try has made an Instance: the build's own, all that was asked for, and no more."""
    return is_owned(instance.metadata, build) and instance.spec == spec.model_copy(
        update={"terminate": instance.spec.terminate, "expire_after": instance.spec.expire_after}
    )


def _name_taken(kind: str, name: str) -> BuildEndsError:
    message = f"{kind} {name} is there already, and is not the build's: delete it, then restart the build"
    return BuildEndsError(NAME_TAKEN, message)


async def start_script(world: World, parts: BuildParts, seen: SeenBuild) -> None:
    """Start the Job with the script."""
    await world.client.apply(POLICIES, run_policy(world, parts, seen))
    nonce = parts.build.status.nonce or await _name_nonce(world, parts)
    await _make_job(world, run_job(parts, nonce, seen.machine))


async def renew_policy(world: World, parts: BuildParts, seen: SeenBuild) -> None:
    """Bring the NetworkPolicy up to date with the networks that are out of reach now.

    It is written at the version that was read, so that a late write takes nothing back.
    """
    body = run_policy(world, parts, seen) if seen.run is not None else fetch_policy(world, parts)
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    try:
        present = await world.client.get(POLICIES, namespace, name)
    except NotFoundError:
        await create(world, POLICIES, body)
        return
    if present["spec"].get("egress", []) != body["spec"]["egress"]:
        version = {"resourceVersion": present["metadata"]["resourceVersion"]}
        changed = {"metadata": version, "spec": {"egress": body["spec"]["egress"]}}
        await world.client.patch(POLICIES, namespace, name, changed)


def fetch_policy(world: World, parts: BuildParts) -> Object:
    """NetworkPolicy while the commit is looked for."""
    return policy(parts.build, [*_to_repository(world, parts), *wall.egress(world.config)])


def run_policy(world: World, parts: BuildParts, seen: SeenBuild) -> Object:
    """NetworkPolicy from the checkout on, which runs in the script's pod."""
    rules = [*_to_repository(world, parts), *wall.egress(world.config)]
    if seen.machine is not None and seen.machine.host:
        rules += machine_rules(_door(world, parts.build, seen))
    return policy(parts.build, [*rules, *egress_rules(_besides(world, parts.build), dns_peers(world.config))])


def _besides(world: World, build: Build) -> Egress:
    """Where a script may connect to besides: nowhere where the type that says so is gone."""
    if build.status.workspace is None:
        return script_egress(world.config)
    kind = world.type_named(build.metadata.namespace, build.status.workspace)
    return type_egress(kind, world.config) if kind is not None else Egress()


def _to_repository(world: World, parts: BuildParts) -> list[Object]:
    return repository_rules(parts.project.spec.repo_url, repository_egress(world.config), dns_peers(world.config))


async def _name_nonce(world: World, parts: BuildParts) -> str:
    """Make the Secret that the script needs to start, then write its nonce down; each try draws another.

    The write fails where the build has ended meanwhile: then no Job is made. The attempt's end deletes the Secret of
    such a try, like all other objects of the attempt (ADR 0024).
    """
    nonce, status = new_nonce(), parts.build.status
    body = opaque(parts.metadata(names.build_secret(parts.id, parts.attempt, nonce)), {})
    await world.client.create(SECRETS, parts.build.metadata.namespace, body)
    await write_status(world, parts.build, status, status.model_copy(update={"nonce": nonce}))
    return nonce


def _door(world: World, build: Build, seen: SeenBuild) -> MachineDoor:
    instance = instance_of(world, build)
    if instance is None or seen.machine is None:
        raise RuntimeError("the machine is gone")
    labels = {
        names.EPOCH_LABEL: str(instance.status.epoch),
        names.DEPLOYMENT_LABEL: instance.status.deployment or "",
    }
    return MachineDoor(seen.machine.host, seen.machine.port, labels)


async def _make_job(world: World, body: Object) -> None:
    namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
    try:
        world.cache[JOBS].put(await world.client.create(JOBS, namespace, body))
    except AlreadyExistsError:
        await refresh(world, JOBS, namespace, name)
    log.info("job made", job=name)


async def open_door(world: World, seen: SeenBuild) -> None:
    """Have the machine's firewall let the build's pod in."""
    instance, pod = instance_of(world, seen.build), seen.run.pod if seen.run else None
    if instance is None or pod is None:
        return
    spec = FirewallRuleSpec(instance=instance.public_id, order=0, source=str(parse_source(pod.ip)), action="ACCEPT")
    name = names.build_object(seen.build.public_id, seen.build.status.attempt or 1)
    body = manifest(FirewallRule, seen.build.metadata.namespace, name, spec, ownerReferences=[instance.reference()])
    rule = await create(world, RULES, body)
    if rule is None:
        await refresh(world, RULES, seen.build.metadata.namespace, name)
    else:
        world.cache[RULES].put(rule)
