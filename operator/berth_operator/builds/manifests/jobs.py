"""The Jobs of a build (docs/explanation/architecture.md, "A build's pods"). Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from berth_core import names
from berth_core.kube.types import Object
from berth_core.quantities import EPHEMERAL_STORAGE, larger
from berth_core.resources import Build, Project
from berth_operator.builds.decide import AFTER_SECONDS, BEFORE_SECONDS, FETCH_SECONDS
from berth_operator.builds.observed import MachineSeen
from berth_operator.settings.config import CiSettings

USER: Final = 1000
PACK_SECONDS: Final = 30
"""Grace of the pod with the script: what is packed is packed in it."""
_SCRATCH_SPACE: Final = "1Gi"
"""Disk for a script's output and its files beside the work folder, where `ci.resources` does not say."""
_SMALL: Final = {"requests": {"cpu": "20m", "memory": "48Mi"}, "limits": {"memory": "512Mi"}}
_CREDENTIALS: Final = {"name": "credentials", "mountPath": "/etc/berth/credentials", "readOnly": True}
_ATTEMPT: Final = {"name": "attempt", "mountPath": "/etc/berth/attempt", "readOnly": True}
_MACHINE: Final = {"name": "machine", "mountPath": "/etc/berth/machine", "readOnly": True}
_READY: Final = "until [ -e /run/berth/packer ]; do sleep 0.05; done"
_WORK: Final = {"name": "work", "mountPath": "/work"}
_RUN: Final = {"name": "run", "mountPath": "/run/berth"}
_SCRATCH: Final = {"name": "scratch", "mountPath": "/tmp"}  # noqa: S108 (a volume of the container's own)


@dataclass(frozen=True)
class Attempt:
    """One attempt at a build."""

    build: Build

    @property
    def id(self) -> str:
        """Public id of the build."""
        return self.build.public_id

    @property
    def attempt(self) -> int:
        """Which attempt."""
        return self.build.status.attempt or 1

    @property
    def secret(self) -> str:
        """Name of the Secret with the key to its machine."""
        return names.build_object(self.id, self.attempt)

    def metadata(self, name: str, **labels: str) -> Object:
        """Metadata of what the attempt makes; it goes when the Build goes."""
        return {
            "name": name,
            "namespace": self.build.metadata.namespace,
            "labels": names.build_labels(self.id, self.attempt) | labels,
            "ownerReferences": [self.build.reference()],
        }


@dataclass(frozen=True)
class BuildParts(Attempt):
    """One attempt at a build, and what its pods are made from."""

    project: Project
    settings: CiSettings
    dns: Object = field(default_factory=dict)
    """Fields of a pod's spec about what it asks for names."""
    user_namespace: bool = False
    """Its pods get a user namespace of their own."""
    wall: Sequence[Object] = ()
    """Init containers of its pods that come before all others."""


def fetch_job(parts: BuildParts) -> Object:
    """Job that finds the commit and reads .berth.yml."""
    spec = parts.build.spec
    env = {
        "BERTH_REPO_URL": parts.project.spec.repo_url,
        "BERTH_BRANCH": spec.branch,
        "BERTH_COMMIT": spec.commit,
        "BERTH_LONGEST": str(parts.settings.max_timeout),
    }
    container = _ours(parts, names.FETCH_CONTAINER, "fetch", env) | {
        "volumeMounts": [_WORK, _SCRATCH, *_credential_mounts(parts)],
    }
    pod = _pod(parts) | {"containers": [container], "volumes": _volumes(parts, "scratch")}
    if parts.wall:
        pod["initContainers"] = _wall(parts)
    return _job(parts, names.FETCH_STEP, pod, FETCH_SECONDS)


def run_job(parts: BuildParts, nonce: str, machine: MachineSeen | None) -> Object:
    """Job that checks the commit out and runs the script, in its own image.

    It starts only with the Secret of the nonce, which goes when the attempt ends: made too late, it runs nothing.
    """
    status = parts.build.status
    secrets = [_secret_volume("attempt", names.build_secret(parts.id, parts.attempt, nonce))]
    mounts = [*_credential_mounts(parts), _ATTEMPT]
    if machine is not None:
        secrets.append(_secret_volume("machine", parts.secret))
        mounts.append(_MACHINE)
    checkout = _ours(parts, names.CHECKOUT_CONTAINER, "checkout", _checkout_env(parts, machine)) | {
        "volumeMounts": [_WORK, _RUN, _SCRATCH, *mounts],
    }
    limit = {"BERTH_ARTIFACTS_MAX_BYTES": str(parts.settings.artifacts_max_bytes)}
    artifacts = _ours(parts, names.ARTIFACTS_CONTAINER, "artifacts", limit) | {
        "restartPolicy": "Always",
        # The script begins when this has ended: what packs knows then that it will be told to.
        "lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", _READY]}}},
        "volumeMounts": [_WORK | {"readOnly": True}, _RUN],
    }
    script: Object = {
        "name": names.SCRIPT_CONTAINER,
        "image": status.image,
        "command": ["/bin/sh", "/run/berth/script"],
        "workingDir": "/work/src",
        "env": _variables(script_env(parts, machine)),
        "resources": _bounded(parts.settings.resources, _SCRATCH_SPACE),
        "securityContext": _restricted(read_only=False) | parts.settings.confinement.profiles(),
        "volumeMounts": [_WORK, _RUN | {"readOnly": True}],
    }
    pod = _pod(parts) | {
        "initContainers": [*_wall(parts), checkout, artifacts],
        "containers": [script],
        "volumes": [*_volumes(parts, "scratch", "run"), *secrets],
    }
    pod["terminationGracePeriodSeconds"] = PACK_SECONDS
    return _job(parts, names.RUN_STEP, pod, BEFORE_SECONDS + (status.timeout or 0) + AFTER_SECONDS)


SCRIPT_VARIABLES: Final = {
    **dict.fromkeys(("CI", "CONTINUOUS_INTEGRATION", "BERTH", "TRAVIS"), "`true`."),
    "HOME": "Folder that the script may write to.",
    **dict.fromkeys(("BERTH_BRANCH", "TRAVIS_BRANCH"), "Branch or tag that was asked for; empty for a commit alone."),
    **dict.fromkeys(("BERTH_COMMIT", "TRAVIS_COMMIT"), "Commit, in full."),
    **dict.fromkeys(("BERTH_BUILD_ID", "TRAVIS_BUILD_ID", "TRAVIS_JOB_ID"), "The build's id."),
    "BERTH_BUILD_ATTEMPT": "Number of the attempt, from 1.",
    "BERTH_PROJECT": "The project's name.",
    "BERTH_REPO_URL": "URL of the repository.",
    "TRAVIS_REPO_SLUG": "Last two parts of the URL's path.",
    "TRAVIS_BUILD_DIR": "Folder of the repository.",
    "BERTH_INSTANCE": "Id of the build's machine; this and the next only with a machine.",
    "BERTH_INSTANCE_HOST": "Address at which the machine's ssh answers, as root.",
    "BERTH_INSTANCE_PORT": "Port of that ssh.",
    "BERTH_INSTANCE_KEY": "File of the private key to the machine.",
    "BERTH_INSTANCE_KNOWN_HOSTS": "File of the machine's host keys.",
    "BERTH_INSTANCE_SSH_CONFIG": 'File with all that: `ssh -F "$BERTH_INSTANCE_SSH_CONFIG" workspace COMMAND`.',
}


def script_env(parts: BuildParts, machine: MachineSeen | None) -> dict[str, str | None]:
    """Environment of the script."""
    build, url = parts.build, parts.project.spec.repo_url
    commit, branch = build.status.commit or "", build.spec.branch or ""
    env: dict[str, str | None] = {
        "CI": "true",
        "CONTINUOUS_INTEGRATION": "true",
        "HOME": "/work/home",
        "BERTH": "true",
        "BERTH_BRANCH": branch,
        "BERTH_COMMIT": commit,
        "BERTH_BUILD_ID": parts.id,
        "BERTH_BUILD_ATTEMPT": str(parts.attempt),
        "BERTH_PROJECT": parts.project.spec.name,
        "BERTH_REPO_URL": url,
        "TRAVIS": "true",
        "TRAVIS_BRANCH": branch,
        "TRAVIS_COMMIT": commit,
        "TRAVIS_BUILD_ID": parts.id,
        "TRAVIS_JOB_ID": parts.id,
        "TRAVIS_BUILD_DIR": "/work/src",
        "TRAVIS_REPO_SLUG": slug(url),
    }
    if machine is not None:
        env |= {
            "BERTH_INSTANCE": machine.public_id,
            "BERTH_INSTANCE_HOST": machine.host,
            "BERTH_INSTANCE_PORT": str(machine.port),
            "BERTH_INSTANCE_KEY": "/run/berth/key",
            "BERTH_INSTANCE_KNOWN_HOSTS": "/run/berth/known_hosts",
            "BERTH_INSTANCE_SSH_CONFIG": "/run/berth/ssh_config",
        }
    return env


def slug(url: str) -> str:
    """Return the last two parts of a repository's path, as hosting services name it."""
    path = url.partition("://")[2].partition("/")[2].strip("/").removesuffix(".git")
    return "/".join(path.split("/")[-2:])


def _checkout_env(parts: BuildParts, machine: MachineSeen | None) -> dict[str, str | None]:
    env: dict[str, str | None] = {
        "BERTH_REPO_URL": parts.project.spec.repo_url,
        "BERTH_COMMIT": parts.build.status.commit,
        "BERTH_LONGEST": str(parts.settings.max_timeout),
    }
    if machine is not None:
        env |= {
            "BERTH_INSTANCE_HOST": machine.host,
            "BERTH_INSTANCE_PORT": str(machine.port),
            "BERTH_HOST_KEYS": "\n".join(machine.host_keys),
        }
    return env


def _job(parts: BuildParts, step: str, pod: Object, seconds: int) -> Object:
    labels = {names.STEP_LABEL: step}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": parts.metadata(names.build_job(parts.id, parts.attempt, step), **labels),
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": seconds,
            "template": {
                "metadata": {"labels": names.build_labels(parts.id, parts.attempt) | labels},
                "spec": pod,
            },
        },
    }


def _pod(parts: BuildParts) -> Object:
    """Fields that all pods of a build share: they pass Pod Security `restricted` and have no token."""
    spec: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 2,
        "nodeSelector": parts.settings.node_selector,
        "tolerations": list(parts.settings.tolerations),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **parts.dns,
    }
    if runtime := parts.settings.confinement.runtime_class:
        spec["runtimeClassName"] = runtime
    if parts.user_namespace:
        spec["hostUsers"] = False
    return spec


def _ours(parts: BuildParts, name: str, step: str, env: Mapping[str, str | None]) -> Object:
    """Return a container of our own image, without its volumes."""
    return {
        "name": name,
        "image": parts.settings.image,
        "imagePullPolicy": parts.settings.pull_policy,
        "command": ["python3", "-m", "berth_ci", step],
        "env": _variables(env),
        "resources": _bounded(_SMALL, parts.settings.disk),
        "securityContext": _restricted(read_only=True),
    }


def _wall(parts: BuildParts) -> list[Object]:
    return [one | {"resources": _bounded(one["resources"], parts.settings.disk)} for one in parts.wall]


def _bounded(resources: Mapping[str, Object], space: str) -> Object:
    """With a limit on the node's disk where there is none, and no request that follows from it.

    The limits of a pod's containers are added up for its volumes: ours have the work folder's, the script its own.
    """
    requests = {EPHEMERAL_STORAGE: "0", **(resources.get("requests") or {})}
    limits = {EPHEMERAL_STORAGE: larger(requests[EPHEMERAL_STORAGE], space), **(resources.get("limits") or {})}
    return {**resources, "requests": requests, "limits": limits}


def _restricted(*, read_only: bool) -> Object:
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": read_only,
        "capabilities": {"drop": ["ALL"]},
    }


def _variables(env: Mapping[str, str | None]) -> list[Object]:
    # In a value $(NAME) would be replaced; two dollars are one.
    return [{"name": name, "value": value.replace("$", "$$")} for name, value in env.items() if value is not None]


def _volumes(parts: BuildParts, *in_memory: str) -> list[Object]:
    volumes: list[Object] = [{"name": "work", "emptyDir": {"sizeLimit": parts.settings.disk}}]
    volumes += [{"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}} for name in in_memory]
    if (credentials := parts.project.spec.credentials) is not None:
        volumes.append(_secret_volume("credentials", credentials.secret))
    return volumes


def _secret_volume(name: str, secret: str) -> Object:
    return {"name": name, "secret": {"secretName": secret, "defaultMode": 0o440}}


def _credential_mounts(parts: BuildParts) -> list[Object]:
    return [_CREDENTIALS] if parts.project.spec.credentials is not None else []
