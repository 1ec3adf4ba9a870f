"""Manifests of warm objects: made for an epoch before anybody has it (ADR 0013)."""

import hashlib
from dataclasses import replace

import orjson

from berth_core import names
from berth_core.firewall import Sources
from berth_core.kube.types import Object
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.pod import pod
from berth_operator.instances.manifests.policy import policy
from berth_operator.instances.manifests.service import service
from berth_operator.settings.config import Config


def made_from(lease: LeaseParts, config: Config) -> str:
    """Digest of all that a pod kept warm depends on: another one means that it would be made differently now."""
    lease = replace(lease, nonce=None)
    manifests = [pod(lease, config), service(lease, config, ())]
    if config.sources is Sources.EXACT:
        manifests.append(policy(lease, (), config))
    parts = [names.type_labels(lease.type.metadata.name), *(manifest["spec"] for manifest in manifests)]
    if config.machines:
        # Its closed ruleset shuts these: a pod that was made before a network was named does not.
        around = config.grounds.around(None)
        parts.append([str(network) for network in (*around.networks, *around.resolvers)])
    if lease.deployment.spec.machine is not None:
        parts.append(lease.deployment.spec.machine.wire())
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def warm_pod(lease: LeaseParts, config: Config, host_key: str) -> Object:
    """Manifest of the pod, with what it was made from and its public host key."""
    manifest = pod(lease, config)
    manifest["metadata"]["annotations"] = {
        names.MADE_FROM_ANNOTATION: made_from(lease, config),
        names.HOST_KEY_ANNOTATION: host_key,
        **({names.NONCE_ANNOTATION: lease.nonce} if lease.nonce else {}),
    }
    return manifest
