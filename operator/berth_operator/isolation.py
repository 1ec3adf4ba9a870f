"""Whether a pod gets a user namespace of its own, in which its root is nobody on the node (ADR 0036). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from berth_core.kube.types import Object

DEFAULT_HANDLER: Final = ""
"""Name under which a node tells of the runtime that pods without a RuntimeClass get."""


class UserNamespaces(StrEnum):
    """Which pods get one."""

    AUTO = "auto"
    """Pods that need nothing of the node's, where every node that they may come to has user namespaces."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True)
class NodeRuntimes:
    """One node, and what its runtimes can."""

    labels: Mapping[str, str]
    handlers: frozenset[str]
    """Handlers of the container runtime that have user namespaces."""


@dataclass(frozen=True)
class ClassView:
    """One RuntimeClass: the handler that it stands for, and the labels of the nodes that it keeps pods to."""

    handler: str
    selector: Mapping[str, str]


@dataclass(frozen=True)
class Runtimes:
    """The cluster's runtimes, as far as they are known."""

    nodes: Mapping[str, NodeRuntimes] = field(default_factory=dict)
    classes: Mapping[str, ClassView] = field(default_factory=dict)


@dataclass(frozen=True)
class Asks:
    """Facts about one pod that the decision depends on."""

    needs: str = ""
    """Need of the node's own user namespace, in a few words; empty for none."""
    runtime_class: str = ""
    selector: Mapping[str, str] = field(default_factory=dict)


class Verdict(NamedTuple):
    """Whether a pod gets one, and why: a condition's status, reason and message."""

    on: bool
    reason: str
    message: str


ISOLATED: Final = Verdict(True, "Isolated", "root in the workspace is nobody on the node")


def user_namespace(setting: UserNamespaces, asks: Asks, runtimes: Runtimes) -> Verdict:
    """Whether a pod gets one. The pod has no node yet, so all that it may come to must be able to."""
    if setting is UserNamespaces.ALWAYS:
        return ISOLATED
    if setting is UserNamespaces.NEVER:
        return Verdict(False, "TurnedOff", "the chart's value instances.userNamespaces is never")
    if asks.needs:
        return Verdict(False, "NeedsTheNode", f"{asks.needs}: that works in the node's own user namespace only")
    runtime = runtimes.classes.get(asks.runtime_class) if asks.runtime_class else ClassView(DEFAULT_HANDLER, {})
    if runtime is None:
        told = f"the RuntimeClass {asks.runtime_class} was not there when it was last looked for"
        return Verdict(False, "RuntimeClassUnknown", told)
    wanted = {**asks.selector, **runtime.selector}
    chosen = {name: node for name, node in runtimes.nodes.items() if wanted.items() <= node.labels.items()}
    if not chosen:
        return Verdict(False, "NoNode", "no node has the labels that it selects")
    if lacking := sorted(name for name, node in chosen.items() if runtime.handler not in node.handlers):
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        told = f"the container runtime of {lacking[0]}{more} has no user namespaces: update it, or select other nodes"
        return Verdict(False, "NodeCannot", told)
    return ISOLATED


def of_pod(verdict: Verdict, *, isolated: bool) -> Verdict:
    """Return the verdict on a pod that is there; ``verdict`` is about one that is made now."""
    if isolated:
        return ISOLATED
    return verdict if not verdict.on else Verdict(False, "MadeBefore", "its pod was made when it could not have one")


def node_runtimes(node: Object) -> NodeRuntimes:
    """Read what a Node says of its runtimes (``status.runtimeHandlers``)."""
    told = (node.get("status") or {}).get("runtimeHandlers") or ()
    able = (one.get("name", DEFAULT_HANDLER) for one in told if (one.get("features") or {}).get("userNamespaces"))
    return NodeRuntimes(node["metadata"].get("labels") or {}, frozenset(able))


def class_view(runtime_class: Object) -> ClassView:
    """Read a RuntimeClass."""
    return ClassView(runtime_class["handler"], (runtime_class.get("scheduling") or {}).get("nodeSelector") or {})
