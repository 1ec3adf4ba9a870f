"""Services: allocated addresses and node ports, and what must not be said together."""

import random
from collections.abc import Callable, Sequence
from typing import Final

from berth_core.kube.types import Object

from . import problems
from .problems import Cause
from .trees import same, with_defaults

NODE_PORTS: Final = range(30000, 32768)


class Ports:
    """Draws addresses and ports of Services."""

    def __init__(self, draw: random.Random, services: Callable[[], list[Object]]) -> None:
        self._draw, self._services = draw, services
        self._drawn: list[int] = []

    def service(self, obj: Object, old: Object | None) -> Object:
        """Return a Service with defaults; what was allocated before stays."""
        self._drawn.clear()
        spec, before = obj["spec"], (old or {}).get("spec") or {}
        spec = with_defaults(
            spec,
            {
                "sessionAffinity": "None",
                "type": "ClusterIP",
                "internalTrafficPolicy": "Cluster",
                "ipFamilies": ["IPv4"],
                "ipFamilyPolicy": "SingleStack",
            },
        )
        if "clusterIP" not in spec:
            spec = spec | {"clusterIP": before.get("clusterIP") or self._address()}
        spec = spec | {"clusterIPs": [spec["clusterIP"]]}
        outer = spec["type"] in ("NodePort", "LoadBalancer")
        if outer:
            spec = with_defaults(spec, {"externalTrafficPolicy": "Cluster"})
        spec = spec | {"ports": self._ports(spec.get("ports") or (), before.get("ports") or (), outer=outer)}
        spec = self._balanced(spec, before)
        balancer = (obj.get("status") or {}).get("loadBalancer") or {}
        if spec["type"] != "LoadBalancer" and before.get("type") == "LoadBalancer":
            balancer = {}
        if ingress := balancer.get("ingress"):
            balancer = balancer | {"ingress": [with_defaults(entry, {"ipMode": "VIP"}) for entry in ingress]}
        return obj | {"spec": spec, "status": (obj.get("status") or {}) | {"loadBalancer": balancer}}

    def _balanced(self, spec: Object, before: Object) -> Object:
        if spec["type"] == "LoadBalancer":
            spec = with_defaults(spec, {"allocateLoadBalancerNodePorts": True})
            if spec["externalTrafficPolicy"] == "Local" and "healthCheckNodePort" not in spec:
                spec = spec | {"healthCheckNodePort": before.get("healthCheckNodePort") or self._free()}
            return spec
        return {k: v for k, v in spec.items() if k not in ("allocateLoadBalancerNodePorts", "healthCheckNodePort")}

    def _ports(self, ports: Sequence[Object], before: Sequence[Object], *, outer: bool) -> list[Object]:
        """Return ports with node ports: a port of the same name keeps its own, whatever else of it changes."""
        ports = [with_defaults(port, {"protocol": "TCP", "targetPort": port["port"]}) for port in ports]
        if not outer:
            return [{key: value for key, value in port.items() if key != "nodePort"} for port in ports]
        named = {port.get("name"): port.get("nodePort") for port in before}
        used = {port.get("nodePort") for port in ports} & set(named.values())
        result = []
        for port in ports:
            if not port.get("nodePort"):
                known = named.get(port.get("name"))
                port = port | {"nodePort": known if known and known not in used else self._free()}
                used.add(port["nodePort"])
            result.append(port)
        return result

    def _free(self) -> int:
        taken: set[int | None] = set(self._drawn)
        for obj in self._services():
            taken |= {port.get("nodePort") for port in obj["spec"].get("ports") or ()}
            taken.add(obj["spec"].get("healthCheckNodePort"))
        if all(port in taken for port in NODE_PORTS):
            raise problems.internal("failed to allocate a nodePort: range is full")
        while (port := self._draw.choice(NODE_PORTS)) in taken:
            pass
        self._drawn.append(port)
        return port

    def _address(self) -> str:
        taken = {obj["spec"].get("clusterIP") for obj in self._services()}
        while (address := f"10.96.{self._draw.randrange(256)}.{self._draw.randrange(1, 255)}") in taken:
            pass
        return address


def service_errors(new: Object, old: Object | None) -> list[Cause]:
    """Return what a Service must not say together."""
    found, spec, status = [], new["spec"], new.get("status") or {}
    names: set[str] = set()
    for index, port in enumerate(spec["ports"]):
        if port.get("name") in names:
            found.append(Cause("FieldValueDuplicate", f"spec.ports[{index}].name", "Duplicate value"))
        names.add(port.get("name", ""))
    if spec["type"] != "LoadBalancer":
        only = "only with type LoadBalancer"
        if spec.get("loadBalancerSourceRanges"):
            found.append(Cause("FieldValueForbidden", "spec.LoadBalancerSourceRanges", only))
        was = (old or {}).get("status") or {}
        if (status.get("loadBalancer") or {}).get("ingress") and old is not None and not same(status, was):
            found.append(Cause("FieldValueForbidden", "status.loadBalancer.ingress", only))
    return found
