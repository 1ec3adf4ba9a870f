"""Random bodies for Kubernetes' own kinds, from what Berth's processes send."""

import random
from collections.abc import Callable
from typing import Any, Final

from berth_core.kube.types import Object

WORDS: Final = ("a", "b", "c")
RESOURCES: Final = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "1Gi"}}


def _selector(draw: random.Random) -> dict[str, str]:
    return {word: draw.choice(WORDS) for word in WORDS if draw.random() < 0.4}


def _container(draw: random.Random) -> Object:
    made: Object = {"name": "workspace", "image": draw.choice(("x", "x:latest", "x:1")), "resources": RESOURCES}
    if draw.random() < 0.5:
        made["env"] = [{"name": "A", "value": draw.choice(("", "1"))}]
        made["ports"] = [{"name": "ssh", "containerPort": 22}]
        made["securityContext"] = {"runAsUser": 0, "capabilities": {"drop": ["ALL"]}}
    if draw.random() < 0.3:
        made["volumeMounts"] = [{"name": "keys", "mountPath": "/keys", "readOnly": draw.random() < 0.5}]
        made["command"] = ["x"]
    return made


def _pod_spec(draw: random.Random) -> Object:
    made: Object = {"automountServiceAccountToken": False, "containers": [_container(draw)]}
    if draw.random() < 0.5:
        made |= {"terminationGracePeriodSeconds": draw.choice((0, 2, 30)), "hostname": "workspace"}
        made |= {"enableServiceLinks": False, "nodeSelector": _selector(draw)}
    if draw.random() < 0.5:
        made["tolerations"] = [
            {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute"},
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"},
        ]
    if draw.random() < 0.5:
        made["securityContext"] = {"seccompProfile": {"type": "RuntimeDefault"}}
    if draw.random() < 0.4:
        agent = {"name": "agent", "image": "y:1", "restartPolicy": "Always", "resources": RESOURCES}
        made["initContainers"] = [agent]
    made["volumes"] = [
        {"name": "keys", "secret": {"secretName": "s", "defaultMode": 0o400}},
        {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
    ]
    return made


def _pod(draw: random.Random) -> Object:
    spec = _pod_spec(draw)
    if draw.random() < 0.5:
        spec["nodeName"] = "n"
    return {"spec": spec}


def _service(draw: random.Random) -> Object:
    ports: list[Object] = [{"name": "ssh", "protocol": "TCP", "port": 2222, "targetPort": draw.choice((22, 23))}]
    if draw.random() < 0.4:
        ports.append({"name": "vpn", "protocol": draw.choice(("UDP", "TCP")), "port": 1194, "targetPort": 1194})
    spec: Object = {"type": draw.choice(("NodePort", "NodePort", "LoadBalancer")), "ports": ports}
    spec |= {"selector": _selector(draw) or {"a": "a"}, "externalTrafficPolicy": "Local"}
    if draw.random() < 0.7:
        spec["publishNotReadyAddresses"] = True
    if spec["type"] == "LoadBalancer" and draw.random() < 0.6:
        spec["loadBalancerSourceRanges"] = draw.sample(["10.0.0.0/8", "192.0.2.7/32", "255.255.255.255/32"], 2)
    return {"spec": spec}


def _secret(draw: random.Random) -> Object:
    made: Object = {"data": {word: "YQ==" for word in WORDS if draw.random() < 0.5}}
    if draw.random() < 0.5:
        made["type"] = draw.choice(("Opaque", "berth.dev/key"))
    if draw.random() < 0.3:
        made["stringData"] = {draw.choice(WORDS): draw.choice(WORDS)}
    return made


def _config_map(draw: random.Random) -> Object:
    made: Object = {"data": {word: draw.choice(WORDS) for word in WORDS if draw.random() < 0.5}}
    if draw.random() < 0.3:
        made["binaryData"] = {"d": draw.choice(("YQ==", "Yg=="))}
    return made


def _job(draw: random.Random) -> Object:
    pod = _pod_spec(draw) | {"restartPolicy": "Never"}
    spec: Object = {"template": {"metadata": {"labels": _selector(draw)}, "spec": pod}, "backoffLimit": 0}
    if draw.random() < 0.5:
        spec["activeDeadlineSeconds"] = draw.choice((60, 61))
    if draw.random() < 0.5:
        rule = {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
        spec |= {"podFailurePolicy": {"rules": [rule]}, "podReplacementPolicy": "Failed"}
    return {"spec": spec}


def _lease(draw: random.Random) -> Object:
    spec: Object = {"holderIdentity": draw.choice(("a", "b", "")), "leaseDurationSeconds": 15}
    if draw.random() < 0.8:
        spec["renewTime"] = f"2026-11-26T10:00:0{draw.randrange(9)}.000001Z"
    if draw.random() < 0.5:
        spec["leaseTransitions"] = draw.randrange(3)
    return {"spec": spec}


def _policy(draw: random.Random) -> Object:
    sources = [{"ipBlock": {"cidr": draw.choice(("10.0.0.0/8", "192.0.2.7/32"))}} for _ in range(draw.randrange(3))]
    spec: Object = {"podSelector": {"matchLabels": _selector(draw)}, "policyTypes": ["Ingress", "Egress"]}
    spec["ingress"] = [{"from": sources, "ports": [{"protocol": "TCP", "port": 22}]}] if sources else []
    if draw.random() < 0.5:
        spec["egress"] = [{"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}]
    return {"spec": spec}


def _budget(draw: random.Random) -> Object:
    return {"spec": {"minAvailable": draw.choice((1, 1, 2)), "selector": {"matchLabels": _selector(draw)}}}


def _claim(draw: random.Random) -> Object:
    exactly = {"deviceClassName": draw.choice(("a.test", "b.test")), "allocationMode": "ExactCount", "count": 1}
    return {"spec": {"devices": {"requests": [{"name": "arm", "exactly": exactly}]}}}


def _node(draw: random.Random) -> Object:
    return {"spec": {"unschedulable": True} if draw.random() < 0.5 else {}}


def _event(draw: random.Random) -> Object:
    return {
        "eventTime": "2026-11-26T10:00:00.000001Z",
        "reportingController": "berth.dev/operator",
        "reportingInstance": "x",
        "action": "Look",
        "reason": draw.choice(("A", "B")),
        "type": "Warning",
        "regarding": {"apiVersion": "v1", "kind": "Pod", "name": "a"},
        "note": draw.choice(WORDS),
    }


MAKERS: Final[dict[str, Callable[[random.Random], Object]]] = {
    "pods": _pod,
    "services": _service,
    "secrets": _secret,
    "configmaps": _config_map,
    "jobs": _job,
    "leases": _lease,
    "networkpolicies": _policy,
    "poddisruptionbudgets": _budget,
    "resourceclaims": _claim,
    "nodes": _node,
    "events": _event,
    "namespaces": lambda _: {},
}


def patch(plural: str, draw: random.Random) -> Object:
    """Return a merge patch of what Berth's processes, kubelets or people change."""
    choices: dict[str, list[Object]] = {
        "pods": [{"spec": {"hostname": "x"}}, {"spec": {"activeDeadlineSeconds": draw.choice((5, 9))}}],
        "services": [{"spec": {"publishNotReadyAddresses": draw.random() < 0.5}}, {"spec": {"selector": {"a": "b"}}}],
        "secrets": [{"data": {"a": draw.choice(("Yg==", None))}}, {"stringData": {"b": draw.choice(WORDS)}}],
        "configmaps": [{"data": {"a": draw.choice(("z", None))}}],
        "jobs": [{"spec": {"backoffLimit": draw.choice((0, 1))}}, {"spec": {"suspend": draw.random() < 0.5}}],
        "leases": [_lease(draw), {"spec": {"holderIdentity": draw.choice(("", "c", None))}}],
        "networkpolicies": [_policy(draw)],
        "poddisruptionbudgets": [{"spec": {"minAvailable": draw.choice((1, 2))}}],
        "resourceclaims": [_claim(draw)],
        "nodes": [{"spec": {"unschedulable": draw.choice((True, False, None))}}, {"spec": {"taints": _taints(draw)}}],
    }
    return draw.choice(choices.get(plural) or [{}])


def status(plural: str, draw: random.Random) -> Object:
    """Return a merge patch of the status."""
    pod: list[Object] = [
        {"phase": draw.choice(("Pending", "Running", "Succeeded", "Failed"))},
        {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]},
        {"conditions": [{"type": "Ready", "status": draw.choice(("True", "False"))}]},
    ]
    choices: dict[str, list[Object]] = {
        "pods": pod,
        "services": [{"loadBalancer": {"ingress": [{"ip": draw.choice(("192.0.2.1", "192.0.2.2"))}]}}],
        "nodes": [{"addresses": [{"type": "InternalIP", "address": "192.0.2.9"}]}, {"conditions": []}],
        "poddisruptionbudgets": [{"disruptionsAllowed": 1, "currentHealthy": 1}],
        "jobs": [{"active": draw.choice((0, 1))}],
    }
    return draw.choice(choices.get(plural) or [{}])


def _taints(draw: random.Random) -> list[Any] | None:
    return draw.choice(([{"key": "a", "effect": "NoExecute"}], [], None))
