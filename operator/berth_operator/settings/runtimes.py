"""The cluster's container runtimes, as far as user namespaces rest on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

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
