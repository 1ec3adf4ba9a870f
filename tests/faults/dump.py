"""All that a test's namespaces hold, in a form in which two runs of the same thing are equal.

Values that differ in each run (ids, times, ports, keys) are replaced by a word; everything else stays.
"""

import asyncio
import json
import re
from typing import Any

from berth_core.ids import deployment_id
from berth_core.kube.client import Client
from berth_core.kube.types import Kind
from berth_dev.envtest.testing import Namespaces

from ..envtest.operator.lab import is_tombstone

BERTH = "berth.dev/v1alpha1"
KINDS = (
    *(
        Kind(BERTH, plural)
        for plural in (
            "workspacetypes",
            "workspacedeployments",
            "instances",
            "reservations",
            "firewallrules",
            "accessrules",
            "machinegrants",
            "deliveries",
            "projects",
            "builds",
        )
    ),
    Kind("v1", "pods"),
    Kind("v1", "services"),
    Kind("v1", "secrets"),
    Kind("networking.k8s.io/v1", "networkpolicies"),
    Kind("batch/v1", "jobs"),
    Kind("coordination.k8s.io/v1", "leases"),
)
DROPPED = frozenset({"uid", "resourceVersion", "creationTimestamp", "managedFields"})
MADE_ANEW = frozenset(
    {
        "clusterIP",
        "clusterIPs",
        "nodePort",
        "healthCheckNodePort",
        "hostKeys",
        "podUid",
        "nonce",
        "queued",
        "berth.dev/host-key",
        "berth.dev/nonce",
        "berth.dev/token",
    }
)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
MADE_KEY = re.compile(r"ssh-rsa [A-Za-z0-9+/=]+|ssh-ed25519 [A-Za-z0-9+/=]+(?=\")")
"""Of who brought no key, and of builds; that of tests is Ed25519 too, and ends with a comment."""
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NONCE = re.compile(r"(?<=-)[0-9a-f]{8}(?=(-agent|-vpn)?\")")
"""At the end of the names of a lease's Secrets, past the ids."""
EPOCH = re.compile(r'(?<=-e)\d+(?=["-])|(?<=epoch": )"?\d+"?')


def any_epoch(lines: list[str]) -> list[str]:
    """The same without the numbers of leases: one more was taken and given back on the way."""
    return [EPOCH.sub("<epoch>", line) for line in lines]


def unnumbered(lines: list[str]) -> list[str]:
    """The same without the numbers of changes."""
    return [line for line in lines if '"generation": ' not in line]


async def dump(client: Client, namespaces: Namespaces) -> list[str]:
    """Lines of JSON, for all three namespaces."""
    places = [
        (kind, namespace)
        for namespace in (namespaces.workspaces, namespaces.access, namespaces.release)
        for kind in KINDS
    ]
    lists = await asyncio.gather(*(client.list(kind, namespace) for kind, namespace in places))
    found = [
        (f"{kind.plural}/{obj['metadata']['name']}", obj)
        for (kind, _), (objects, _) in zip(places, lists, strict=True)
        for obj in objects
        # The leader's Lease depends on no input; a tombstone stays for a while.
        if obj["metadata"]["name"] != "berth-operator" and not is_tombstone(obj)
    ]
    named = {
        deployment_id(obj["metadata"]["namespace"], obj["metadata"]["name"]): f"<id of {obj['metadata']['name']}>"
        for name, obj in found
        if name.startswith("workspacedeployments/")
    }
    instances = [obj["metadata"] for name, obj in found if name.startswith("instances/")]
    named |= {metadata["uid"]: "<instance>" for metadata in instances}
    named |= {metadata["name"]: "<instance>" for metadata in instances if UUID.fullmatch(metadata["name"])}
    named |= {namespaces.workspaces: "<workspaces>", namespaces.access: "<access>", namespaces.release: "<release>"}
    text = json.dumps(sorted((name, _plain(obj)) for name, obj in found), indent=1, sort_keys=True)
    for given, word in named.items():
        text = text.replace(given, word)
    return worded(text).splitlines()


def normal(value: Any) -> Any:
    """A part of an object, with words for what is made anew and without the numbers of its changes."""
    text = json.dumps(_plain(value))
    text = re.sub(r'"(observedGeneration|generation)": \d+', r'"\1": "<n>"', text)
    return json.loads(worded(text))


def worded(text: str) -> str:
    """Text with words for ids, times and keys."""
    for pattern, word in ((TIME, "<time>"), (MADE_KEY, "<made key>"), (UUID, "<uuid>"), (NONCE, "<nonce>")):
        text = pattern.sub(word, text)
    return text


def _plain(value: Any, key: str = "") -> Any:
    if key in MADE_ANEW:
        return f"<{key}>"
    if key == "address" and isinstance(value, dict):
        return value | {"port": "<nodePort>"}
    if key == "data" and isinstance(value, dict):
        return sorted(value)
    if isinstance(value, dict):
        return {name: _plain(inner, name) for name, inner in value.items() if name not in DROPPED}
    if isinstance(value, list):
        plain = [_plain(inner) for inner in value]
        # Conditions are a map by type: their order says only which came first.
        return sorted(plain, key=lambda c: str(c["type"])) if key == "conditions" else plain
    return value
