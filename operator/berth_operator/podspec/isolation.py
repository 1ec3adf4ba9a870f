"""Whether a pod gets a user namespace of its own, in which its root is nobody on the node (ADR 0036). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from berth_operator.settings.config import Config
from berth_operator.settings.runtimes import DEFAULT_HANDLER, ClassView, Runtimes, UserNamespaces

_DEVICES: Final = "it has devices"


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
        message = f"the RuntimeClass {asks.runtime_class} was not there when it was last looked for"
        return Verdict(False, "RuntimeClassUnknown", message)
    selector = {**asks.selector, **runtime.selector}
    nodes = {name: node for name, node in runtimes.nodes.items() if selector.items() <= node.labels.items()}
    if not nodes:
        return Verdict(False, "NoNode", "no node has the labels that it selects")
    if lacking := sorted(name for name, node in nodes.items() if runtime.handler not in node.handlers):
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        message = (
            f"the container runtime of {lacking[0]}{more} has no user namespaces: update it, or select other nodes"
        )
        return Verdict(False, "NodeCannot", message)
    return ISOLATED


def of_pod(verdict: Verdict, *, isolated: bool) -> Verdict:
    """Return the verdict on a pod that is there; ``verdict`` is about one that is made now."""
    if isolated:
        return ISOLATED
    return verdict if not verdict.on else Verdict(False, "MadeBefore", "its pod was made when it could not have one")


def of_build(config: Config) -> Verdict:
    """Whether pods of builds get one."""
    if config.ci is None:
        return user_namespace(config.user_namespaces, Asks(), config.runtimes)
    amounts = (config.ci.resources.get(part) or {} for part in ("requests", "limits"))
    asks = Asks(
        needs=_DEVICES if any(map(_has_devices, amounts)) else "",
        runtime_class=config.ci.confinement.runtime_class,
        selector=config.ci.node_selector,
    )
    return user_namespace(config.user_namespaces, asks, config.runtimes)


def _has_devices(amounts: Mapping[str, object]) -> bool:
    """Whether an amount is of what a plugin brings, such as nvidia.com/gpu: it may have files in /dev."""
    return any("/" in name for name in amounts)
