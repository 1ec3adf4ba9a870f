"""Decides whether a user may instantiate a deployment. Pure."""

from collections.abc import Iterable
from typing import Final

from berth_core.resources import AccessRule, WorkspaceDeployment, WorkspaceType
from berth_core.resources.accessrule import EVERYBODY

FORBIDS: Final = "CAP_NO_INSTANTIATE"


def may_instantiate(
    user: str, workspace_type: WorkspaceType, deployment: WorkspaceDeployment, rules: Iterable[AccessRule]
) -> bool:
    """Whether this user may have the deployment; ``rules`` are all rules of this deployment.

    The most specific answer counts: rules that name the user, then ownership, then rules for everybody, then the
    type's default. Of two equally specific rules, the one that forbids wins.
    """
    by_user: dict[str, set[str]] = {}
    for rule in rules:
        by_user.setdefault(rule.spec.user, set()).add(rule.spec.capability)
    if (own := by_user.get(user)) is not None:
        return FORBIDS not in own
    if user in deployment.spec.owners:
        return True
    if (general := by_user.get(EVERYBODY)) is not None:
        return FORBIDS not in general
    return workspace_type.spec.access == "open"
