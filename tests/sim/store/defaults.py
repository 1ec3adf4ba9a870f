"""Defaults that the API server gives to Kubernetes' own kinds."""

import random
from collections.abc import Callable
from typing import Any, Final

from berth_core.client import Object

NODE_PORTS: Final = range(30000, 32768)


def pod(spec: Object) -> Object:
    """Return a pod's spec with defaults."""
    return spec


def service(spec: Object, old: Object, draw: random.Random, taken: Callable[[], set[int]]) -> Object:
    """Return a Service's spec with defaults; addresses and node ports stay, or are drawn."""
    result = {"sessionAffinity": "None", "type": "ClusterIP", "internalTrafficPolicy": "Cluster"} | spec
    before = {(p.get("protocol", "TCP"), p["port"]): p for p in old.get("ports") or ()}
    ports, used = [], taken()
    for port in result.get("ports") or ():
        port = {"protocol": "TCP", "targetPort": port.get("port")} | port
        if result["type"] in ("NodePort", "LoadBalancer") and not port.get("nodePort"):
            known = before.get((port["protocol"], port["port"]), {}).get("nodePort")
            port["nodePort"] = known or draw.choice([p for p in NODE_PORTS if p not in used])
            used.add(port["nodePort"])
        ports.append(port)
    if ports:
        result["ports"] = ports
    if "clusterIP" not in result:
        result["clusterIP"] = old.get("clusterIP") or f"10.96.{draw.randrange(256)}.{draw.randrange(1, 255)}"
    return result


def status_of(plural: str) -> Any:
    """Return the status that an object of Kubernetes' own kinds begins with, None for none."""
    return {
        "pods": {"phase": "Pending"},
        "services": {"loadBalancer": {}},
        "jobs": {},
        "nodes": {},
        "namespaces": {"phase": "Active"},
    }.get(plural)
