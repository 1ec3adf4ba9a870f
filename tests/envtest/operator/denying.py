"""A policy of the cluster's owner that refuses one kind of write in a test's namespace."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Final

from berth_core.kube.errors import InvalidError
from berth_core.kube.types import Kind

from .lab import Lab

GROUP: Final = "admissionregistration.k8s.io/v1"
POLICIES: Final = Kind(GROUP, "validatingadmissionpolicies", namespaced=False)
BINDINGS: Final = Kind(GROUP, "validatingadmissionpolicybindings", namespaced=False)
SECONDS: Final = 20.0


async def deny(lab: Lab, kind: Kind, operation: str, message: str, probe: Callable[[int], Awaitable[None]]) -> None:
    """Let a policy refuse a kind of write, and wait until it is in force: until a numbered probe is refused."""
    group, _, version = kind.api_version.rpartition("/")
    rule = {"apiGroups": [group], "apiVersions": [version], "operations": [operation], "resources": [kind.plural]}
    policy = {
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "message": message}],
    }
    where = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": lab.namespace}}}
    binding = {"policyName": lab.namespace, "validationActions": ["Deny"], "matchResources": where}
    for to, word, spec in (
        (POLICIES, "ValidatingAdmissionPolicy", policy),
        (BINDINGS, "ValidatingAdmissionPolicyBinding", binding),
    ):
        body = {"apiVersion": GROUP, "kind": word, "metadata": {"name": lab.namespace}, "spec": spec}
        await lab.client.create(to, None, body)
    async with asyncio.timeout(SECONDS):
        for number in itertools.count():
            try:
                await probe(number)
            except InvalidError:
                return


async def allow(lab: Lab) -> None:
    """Take back what :func:`deny` refuses."""
    for kind in (BINDINGS, POLICIES):
        await lab.client.delete(kind, None, lab.namespace)
