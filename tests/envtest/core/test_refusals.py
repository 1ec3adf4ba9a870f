"""Berth's resources that the API server refuses, and its messages, which say what to write instead."""

import re
from typing import Any

import pytest

from berth_core.kube.client import Client
from berth_core.kube.errors import InvalidError
from berth_core.resources import (
    KINDS,
    AccessRule,
    Account,
    Connector,
    FirewallRule,
    Instance,
    IssuedToken,
    Project,
    Reservation,
    Resource,
    TokenRevocation,
    VPNClient,
    WorkspaceDeployment,
    WorkspaceType,
)

from .objects import create, manifest, patch

STATUS = {"provider": "gitlab"}
IMAGE = {"image": "example/workspace:1"}


def template(**fields: Any) -> dict[str, Any]:
    return {"template": IMAGE | fields}


def volume(**source: Any) -> dict[str, Any]:
    return template(volumes=[{"name": "v", "mountPath": "/v", **source}])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_plain_object_of_each_kind_is_taken(client: Client, namespace: str, kind: type[Resource]) -> None:
    made = await create(client, namespace, kind)
    assert kind.parse(made).metadata.name == made["metadata"]["name"]


def hook(name: str = "reset", **fields: Any) -> dict[str, Any]:
    return {"hooks": {name: {"command": ["/bin/true"]} | fields}}


WAY: dict[str, Any] = {"name": "bench-7", "ports": [{"port": 30002, "target": "[2001:db8::7]:80"}]}

ACCEPTED: list[tuple[type[Resource], dict[str, Any]]] = [
    (WorkspaceType, {"network": {"egress": "list", "allowed": ["192.0.2.0/24", "2001:db8::/32"]}}),
    (WorkspaceType, volume(emptyDir={})),
    (WorkspaceType, volume(hostPath={"path": "/dev/video0"})),
    (WorkspaceType, {"limits": {"defaultExpireAfter": 60, "maxExpireAfter": 60}}),
    (WorkspaceType, template(resources={"requests": {"cpu": 1, "memory": "64Mi"}})),
    (WorkspaceType, hook("prepare")),
    (WorkspaceType, hook("healthCheck", image="example/look:1", timeout=86400)),
    (WorkspaceType, {"hooks": {}}),
    (WorkspaceDeployment, {"heartbeat": "node", "dissolved": "2026-05-01T00:00:00Z"}),
    (WorkspaceDeployment, {"heartbeat": "lease", "quarantineRelease": {"epoch": 1}}),
    (WorkspaceDeployment, {"health": {"tcp": 30002, "every": 3600, "failures": 100, "host": "2001:db8::7"}}),
    (WorkspaceDeployment, {"health": {"http": {"port": 443, "path": "/ok?full=1", "tls": True}}}),
    (WorkspaceDeployment, {"maintenance": {"reason": "new gripper", "until": "2026-12-01T17:00:00Z"}}),
    (WorkspaceDeployment, {"machine": {"network": {"addresses": ["192.0.2.40/32"]}}}),
    (WorkspaceDeployment, {"machine": {"connector": WAY}}),
    (Connector, {"targets": None, "enrolment": None}),
    (Instance, {"workspaceType": None, "deployments": ["misty-1", "misty-2"]}),
    (Instance, {"requesterAddress": "2001:db8::7"}),
    (Reservation, {"eventUrl": "https://example.org/hook", "priority": -5}),
    (FirewallRule, {"source": "2001:db8::/48", "action": "REJECT", "order": 7}),
    (FirewallRule, {"source": "0.0.0.0/0"}),
    (Project, {"commitStatus": STATUS | {"statusURL": "https://hub.test:8443/repos/a@b/statuses/{sha}"}}),
    (Project, {"commitStatus": STATUS | {"statusURL": "http://hub.test"}}),
]


@pytest.mark.parametrize(("kind", "spec"), ACCEPTED)
async def test_what_is_right_is_taken(
    client: Client, namespace: str, kind: type[Resource], spec: dict[str, Any]
) -> None:
    await create(client, namespace, kind, **spec)


def way(*ports: int, target: str = "127.0.0.1:1") -> dict[str, Any]:
    """A machine behind a connector."""
    return {"machine": {"connector": {"name": "b", "ports": [{"port": port, "target": target} for port in ports]}}}


REFUSED: list[tuple[type[Resource], dict[str, Any], str]] = [
    (
        WorkspaceDeployment,
        {"machine": way(30002)["machine"] | {"network": {"addresses": ["192.0.2.1/32"]}}},
        r"a network or a connector, not both",
    ),
    (WorkspaceDeployment, way(30002, 30002), r"each port once"),
    (WorkspaceDeployment, way(8470), r"none of 1194 and 8470"),
    (WorkspaceDeployment, way(22), r"should be greater than or equal to 1024"),
    (WorkspaceDeployment, way(30002, target="robot.local:1"), r"target in body should match"),
    (WorkspaceDeployment, way(), r"should have at least 1 items"),
    (Connector, {"targets": ["robot.local:1"]}, r"should match"),
    (
        Connector,
        {"enrolment": {"tokenHash": "x", "expires": "2026-05-01T00:00:00Z"}},
        r"tokenHash in body should match",
    ),
    (WorkspaceType, {"typeName": "fixed-misty2"}, r"spec.typeName in body should match '\^\[A-Za-z_0-9\]\+\$'"),
    (WorkspaceType, {"typeName": None}, r"spec.typeName: Required value"),
    (WorkspaceType, {"template": {}}, r"spec.template.image: Required value"),
    (WorkspaceType, {"network": {"egress": "none", "allowed": ["192.0.2.0/24"]}}, r"allowed does not count with"),
    (WorkspaceType, {"network": {"egress": "list", "allowed": ["lab"]}}, r"networks in CIDR notation, such as"),
    (WorkspaceType, {"network": {"egress": "some"}}, r"Unsupported value: \"some\": supported values"),
    (WorkspaceType, volume(), r"each of spec.template.volumes takes exactly one of emptyDir"),
    (WorkspaceType, volume(emptyDir={}, configMap={"name": "c"}), r"takes exactly one of emptyDir"),
    (WorkspaceType, volume(hostPath={"path": "dev"}), r"hostPath.path in body should match '\^/'"),
    (WorkspaceType, {"limits": {"defaultExpireAfter": 61, "maxExpireAfter": 60}}, r"must not exceed"),
    (WorkspaceType, {"limits": {"startTimeout": 1}}, r"startTimeout in body should be greater than or equal to 10"),
    (WorkspaceType, {"access": "ajar"}, r"supported values: \"open\", \"closed\""),
    (WorkspaceType, template(env=[{"name": "1A"}]), r"env\[0\].name in body should match"),
    (WorkspaceType, {"hooks": {"reset": {}}}, r"spec.hooks.reset.command: Required value"),
    (WorkspaceType, hook(command=[]), r"hooks.reset.command in body should have at least 1 items"),
    (WorkspaceType, hook(command="/bin/true"), r"hooks.reset.command in body must be of type array"),
    (WorkspaceType, hook(image=""), r"hooks.reset.image in body should be at least 1 chars long"),
    (WorkspaceType, hook("prepare", timeout=0), r"hooks.prepare.timeout in body should be greater than or equal to 1"),
    (WorkspaceType, hook("healthCheck", timeout=86401), r"hooks.healthCheck.timeout in body should be less than or"),
    (WorkspaceDeployment, {"heartbeat": "pulse"}, r"supported values: \"none\", \"node\", \"lease\""),
    (WorkspaceDeployment, {"quarantineRelease": {"reason": "x"}}, r"quarantineRelease.epoch: Required value"),
    (WorkspaceDeployment, {"quarantineRelease": {"epoch": 0}}, r"quarantineRelease.epoch in body should be greater"),
    (WorkspaceDeployment, {"health": {"every": 30}}, r"spec.health has either tcp or http"),
    (WorkspaceDeployment, {"health": {"tcp": 1, "http": {"port": 1}}}, r"spec.health has either tcp or http"),
    (WorkspaceDeployment, {"health": {"tcp": 65536}}, r"health.tcp in body should be less than or equal to 65535"),
    (WorkspaceDeployment, {"health": {"tcp": 1, "every": 0}}, r"health.every in body should be greater than or"),
    (WorkspaceDeployment, {"health": {"tcp": 1, "every": 3601}}, r"health.every in body should be less than or"),
    (WorkspaceDeployment, {"health": {"tcp": 1, "failures": 101}}, r"health.failures in body should be less than or"),
    (WorkspaceDeployment, {"health": {"tcp": 1, "host": "robot.lab"}}, r"spec.health.host is an address"),
    (WorkspaceDeployment, {"health": {"tcp": 1, "host": "::ffff:127.0.0.1"}}, r"spec.health.host is an address"),
    (WorkspaceDeployment, {"health": {"http": {"port": 1, "path": "ok"}}}, r"health.http.path in body should match"),
    (
        WorkspaceDeployment,
        {"health": {"http": {"port": 1, "path": "/a\r\nHost: b"}}},
        r"health.http.path in body should",
    ),
    (WorkspaceDeployment, {"maintenance": {"reason": ""}}, r"maintenance.reason in body should be at least 1 chars"),
    (WorkspaceDeployment, {"maintenance": {"until": "2026-12-01T17:00:00Z"}}, r"maintenance.reason: Required value"),
    (WorkspaceDeployment, {"type": None}, r"spec.type: Required value"),
    (WorkspaceDeployment, {"type": "a b"}, r"spec.type in body should match"),
    (WorkspaceDeployment, {"dissolved": "yesterday"}, r"spec.dissolved in body must be of type date-time"),
    (WorkspaceDeployment, {"typeVersion": "two"}, r"spec.typeVersion in body must be of type integer"),
    (Instance, {"user": None}, r"spec.user: Required value"),
    (Instance, {"workspaceType": None}, r"exactly one of spec.workspaceType and spec.deployments"),
    (Instance, {"deployments": ["misty-1"]}, r"exactly one of spec.workspaceType and spec.deployments"),
    (Instance, {"workspaceType": None, "deployments": []}, r"should have at least 1 items"),
    (Instance, {"requesterAddress": "192.0.2.0/24"}, r"takes an IP address, such as 192.0.2.7"),
    (Instance, {"requesterAddress": "lab.example"}, r"takes an IP address, such as 192.0.2.7"),
    (Instance, {"expireAfter": 0}, r"expireAfter in body should be greater than or equal to 1"),
    (Instance, {"claim": {"deployment": "d", "epoch": 0}}, r"claim.epoch in body should be greater"),
    *(
        (Instance, {"repo": {"url": url}}, r"spec.repo.url takes an https, http or git URL without user")
        for url in (
            "ssh://git@git.example.org/arm.git",
            "git@git.example.org:arm.git",
            "https://ada:secret@git.example.org/arm.git",
            "https://git.example.org/arm.git?token=secret",
            "https://git.example.org/arm\n",
        )
    ),
    *(
        (Instance, {"repo": {"url": "https://git.example.org/arm", "path": path}}, r"spec.repo.path takes a path of up")
        for path in (
            "",
            "/",
            "/root",
            "/root/",
            "/etc/berth",
            "/run",
            "a/../../etc",
            "..",
            "a//b",
            "a:b",
            "a\n",
            "a" * 256,
        )
    ),
    *(
        (Project, {"commitStatus": STATUS | {"statusURL": url}}, r"statusURL takes an http or https URL without user")
        for url in (
            "https://ada:token@hub.test/{sha}",
            "https://ghp_token@hub.test/{sha}",
            "https://hub.test/{sha}?private_token=secret",
            "https://hub.test?private_token=secret",
        )
    ),
    (
        Reservation,
        {"instance": {"user": "alice", "repo": {"url": "file:///etc"}}},
        r"spec.instance.repo.url takes an https, http or git URL",
    ),
    (Reservation, {"deployments": ["d"]}, r"exactly one of spec.workspaceType and spec.deployments"),
    (Reservation, {"eventUrl": "ftp://example.org"}, r"eventUrl in body should match"),
    (Reservation, {"priority": 5000}, r"priority in body should be less than or equal to 1000"),
    (FirewallRule, {"source": "192.0.2.7"}, r"takes a network in CIDR notation, such as 192.0.2.7/32"),
    (FirewallRule, {"source": "192.0.2.0/33"}, r"takes a network in CIDR notation"),
    (FirewallRule, {"action": "accept"}, r"supported values: \"ACCEPT\", \"DROP\", \"REJECT\""),
    (FirewallRule, {"order": -1}, r"order in body should be greater than or equal to 0"),
    (AccessRule, {"capability": "CAP_ALL"}, r"supported values: \"CAP_INSTANTIATE\", \"CAP_NO_INSTANTIATE\""),
    (AccessRule, {"ruleID": 0}, r"ruleID in body should be greater than or equal to 1"),
    (AccessRule, {"user": ""}, r"user in body should be at least 1 chars long"),
    (Account, {"user": None}, r"spec.user: Required value"),
    (Account, {"tokensValidAfter": "now"}, r"tokensValidAfter in body must be of type date-time"),
    (IssuedToken, {"sha256": "ab" * 32}, r"an IssuedToken is named by its spec.sha256"),
    (TokenRevocation, {"sha256": "5E" * 32}, r"sha256 in body should match"),
    (TokenRevocation, {"expires": None}, r"spec.expires: Required value"),
]


@pytest.mark.parametrize(("kind", "spec", "message"), REFUSED)
async def test_what_is_wrong_is_refused_with_what_to_write(
    client: Client, namespace: str, kind: type[Resource], spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidError) as refused:
        await client.create(kind.api(), namespace, manifest(kind, **spec))
    assert re.search(message, refused.value.message), refused.value.message


CLAIM = {"deployment": "misty-1", "epoch": 1}
ENDED = {"tokensValidAfter": "2026-05-01T00:00:00Z"}

IMMUTABLE: list[tuple[type[Resource], dict[str, Any], dict[str, Any], str]] = [
    (WorkspaceType, {}, {"typeName": "other"}, "spec.typeName cannot be changed"),
    (WorkspaceDeployment, {}, {"type": "other"}, "spec.type cannot be changed"),
    (WorkspaceDeployment, {"dissolved": "2026-05-01T00:00:00Z"}, {"dissolved": None}, "cannot be taken back"),
    (Instance, {}, {"workspaceType": "other"}, "spec.workspaceType cannot be changed"),
    (Instance, {}, {"workspaceType": None, "deployments": ["d"]}, "cannot be changed"),
    (Instance, {}, {"user": "mallory"}, "spec.user cannot be changed"),
    (Instance, {}, {"claim": CLAIM}, "spec.claim cannot be changed"),
    (Instance, {"claim": CLAIM}, {"claim": None}, "spec.claim cannot be changed"),
    (Instance, {"claim": CLAIM}, {"claim": {"epoch": 2}}, "spec.claim cannot be changed"),
    (Instance, {"sshKeys": ["ssh-ed25519 A"]}, {"sshKeys": ["ssh-ed25519 B"]}, "spec.sshKeys cannot be changed"),
    (Instance, {}, {"requesterAddress": "192.0.2.7"}, "spec.requesterAddress cannot be changed"),
    (Instance, {}, {"vpn": True}, "spec.vpn cannot be changed"),
    (Instance, {}, {"keepAlive": True}, "spec.keepAlive cannot be changed"),
    (Instance, {}, {"repo": {"url": "https://example.org/r"}}, "spec.repo cannot be changed"),
    (Instance, {"terminate": True}, {"terminate": False}, "spec.terminate cannot be taken back"),
    (Instance, {"terminate": True}, {"terminate": None}, "spec.terminate cannot be taken back"),
    (Reservation, {}, {"priority": 1}, "a Reservation's spec cannot be changed"),
    (FirewallRule, {}, {"source": "198.51.100.0/24"}, "a FirewallRule's spec cannot be changed"),
    (VPNClient, {}, {"instance": "j"}, "a VPNClient's spec cannot be changed"),
    (AccessRule, {}, {"capability": "CAP_NO_INSTANTIATE"}, "an AccessRule's spec cannot be changed"),
    (Account, {}, {"user": "bob"}, "spec.user cannot be changed"),
    (Account, ENDED, {"tokensValidAfter": None}, "spec.tokensValidAfter never goes back"),
    (Account, ENDED, {"tokensValidAfter": "2026-04-30T23:59:59Z"}, "spec.tokensValidAfter never goes back"),
    (IssuedToken, {}, {"superuser": True}, "an IssuedToken's spec cannot be changed"),
    (TokenRevocation, {}, {"expires": "2026-05-01T00:00:00Z"}, "a TokenRevocation's spec cannot be changed"),
]


@pytest.mark.parametrize(("kind", "before", "change", "message"), IMMUTABLE)
async def test_what_must_not_change_does_not(
    client: Client, namespace: str, kind: type[Resource], before: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    made = await create(client, namespace, kind, **before)
    with pytest.raises(InvalidError, match=message):
        await patch(client, made, kind, {"spec": change})


CHANGEABLE: list[tuple[type[Resource], dict[str, Any], dict[str, Any]]] = [
    (WorkspaceType, {}, {"description": "new", "template": {"image": "example/workspace:2"}, "retired": True}),
    (WorkspaceType, hook(), {"hooks": {"reset": {"command": ["/bin/false"]}, "prepare": {"command": ["/x"]}}}),
    (WorkspaceType, hook(), {"hooks": None}),
    (WorkspaceDeployment, {"quarantineRelease": {"epoch": 1}}, {"quarantineRelease": {"epoch": 2, "reason": "seen"}}),
    (WorkspaceDeployment, {}, {"lockout": True, "owners": ["bob"], "dissolved": "2026-05-01T00:00:00Z"}),
    (Instance, {}, {"terminate": True}),
    (Instance, {}, {"expireAfter": 60}),
    (Account, ENDED, {"tokensValidAfter": "2026-05-01T00:00:01Z"}),
    (Account, {}, {"passwordSecretRef": {"name": "password-of-alice"}}),
]


@pytest.mark.parametrize(("kind", "before", "change"), CHANGEABLE)
async def test_what_may_change_does(
    client: Client, namespace: str, kind: type[Resource], before: dict[str, Any], change: dict[str, Any]
) -> None:
    made = await create(client, namespace, kind, **before)
    await patch(client, made, kind, {"spec": change})
