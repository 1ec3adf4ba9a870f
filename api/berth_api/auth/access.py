"""Decides what a caller may do; no other module does. Pure.

Order of the questions: is there a token, may it be used here at all (``in``), may it change things (``sc``), is the
thing its user's. A thing of another user is answered like one that does not exist.
"""

from collections.abc import Iterable
from enum import StrEnum

from berth_api.auth.identity import Identity
from berth_api.cache.deployment import Deployment
from berth_api.http.errors import BadRequestError, MissingError, NotPermittedError, WrongTokenError
from berth_core.queue import access
from berth_core.resources import AccessRule, Instance, Project, Reservation, WorkspaceType
from berth_core.resources.accessrule import EVERYBODY
from berth_core.state import is_active


class Scope(StrEnum):
    """Kind of change that a request makes; the word completes the refusal of a read-only token."""

    INSTANTIATION = "instantiation"
    TERMINATION = "termination"
    CHANGE = "change"


def present(identity: Identity | None) -> Identity:
    """Return the caller. Raises WrongTokenError when there is none."""
    if identity is None:
        raise WrongTokenError
    return identity


def need_unconstrained(identity: Identity) -> None:
    """Refuse a token that works for one instance only."""
    if identity.instance is not None:
        raise BadRequestError("token already constrained to another instance")


def need_instance(identity: Identity, instance_id: str) -> None:
    """Refuse a token that works for one other instance only."""
    if identity.instance is not None and identity.instance != instance_id:
        raise BadRequestError("token already constrained to another instance")


def need_write(identity: Identity, scope: Scope) -> None:
    """Refuse a read-only token."""
    if identity.read_only:
        raise BadRequestError(f"token scope does not permit {scope}")


def need_keeping(identity: Identity) -> None:
    """Refuse a token that may neither change things nor keep its user's machines."""
    if not identity.may_own:
        need_write(identity, Scope.CHANGE)


def need_machines(identity: Identity, type_name: str) -> None:
    """Refuse a token that may not register, change and retire machines of a type."""
    need_unconstrained(identity)
    if not identity.may_own:
        raise BadRequestError(
            "token scope does not permit changes of machines: use a token with the scope `own`, or without scopes"
        )
    if identity.types is not None and type_name not in identity.types:
        raise BadRequestError(f"token scope does not permit machines of type {type_name}")


def need_own(identity: Identity, instance: Instance) -> None:
    """Refuse anyone but the owner, a superuser, and a token for just this instance, as if it did not exist."""
    if not may_use(identity, instance.public_id, instance.spec.user):
        raise instance_missing()


def may_use(identity: Identity, instance_id: str, user: str) -> bool:
    """Whether the caller may use this instance of a user."""
    return identity.superuser or identity.instance == instance_id or identity.user == user


def instance_missing() -> MissingError:
    """Answer for an instance that does not exist, or is not the caller's."""
    return MissingError("instance not found")


def need_type(identity: Identity, type_name: str) -> None:
    """Refuse a token that may instantiate other types only."""
    if identity.types is not None and type_name not in identity.types:
        raise BadRequestError(f"token scope does not permit instantiation of type {type_name}")


def may_instantiate(
    identity: Identity, workspace_type: WorkspaceType, deployment: Deployment, rules: Iterable[AccessRule]
) -> bool:
    """Whether the caller may have the deployment; ``rules`` are all its rules. A superuser always may."""
    return identity.superuser or access.may_instantiate(identity.user, workspace_type, deployment.resource, rules)


def owns(identity: Identity, deployment: Deployment) -> bool:
    """Whether the user owns the deployment, and so may change its access rules and lockout."""
    return identity.superuser or identity.user in deployment.resource.spec.owners


def need_owner(identity: Identity, deployment: Deployment) -> None:
    """Refuse anyone but owners and superusers. The deployment is public, so no 404 hides it."""
    if not owns(identity, deployment):
        raise NotPermittedError("only owners of the workspace deployment may change it")


def need_registered(deployment: Deployment) -> str:
    """Return the MachineGrant of a machine; refuse one that its owner did not register."""
    grant = deployment.resource.spec.grant
    if grant is None:
        raise NotPermittedError(
            "an administrator answers for this workspace deployment: ask one to change it, or to name a MachineGrant"
            " of yours in its spec.grant"
        )
    return grant


def concerns(identity: Identity, rule: AccessRule) -> bool:
    """Whether a rule applies to this user."""
    return rule.spec.user in {identity.user, EVERYBODY}


def need_own_reservation(identity: Identity, reservation: Reservation) -> None:
    """Refuse anyone but the user who waits, and superusers, as if the reservation did not exist."""
    if not identity.superuser and identity.user != reservation.spec.user:
        raise reservation_missing()


def reservation_missing() -> MissingError:
    """Answer for a reservation that does not exist, or is not the caller's."""
    return MissingError("reservation not found")


def need_builder(identity: Identity) -> None:
    """Refuse a token limited to some types or one lease length: the commit decides which machine a build wants."""
    if identity.types is not None or identity.expire_d is not None:
        raise BadRequestError(
            "token scope does not permit builds: they may lease any type. Use a token without `wt` and `opt.expire_d`"
        )


def need_own_project(identity: Identity, project: Project) -> None:
    """Refuse anyone but the project's user, and superusers, as if the project did not exist."""
    if not identity.superuser and identity.user != project.spec.user:
        raise project_missing()


def project_missing() -> MissingError:
    """Answer for a project that does not exist, or is not the caller's."""
    return MissingError("project not found")


def build_missing() -> MissingError:
    """Answer for a build that does not exist, in a project of the caller's."""
    return MissingError("build not found")


def expire_after(identity: Identity, workspace_type: WorkspaceType, seconds: int | None) -> int | None:
    """Length of the lease in seconds, None for the type's default. Raises BadRequestError where it is not allowed."""
    if identity.expire_d is not None:
        if seconds not in (None, identity.expire_d):
            raise BadRequestError(f"token permits no value for option `expire_d` but {identity.expire_d}")
        seconds = identity.expire_d
    most = workspace_type.spec.limits.max_expire_after
    if seconds is not None and most is not None and seconds > most:
        raise BadRequestError(f"value for option `expire_d` exceeds {most}, the most that the type allows")
    return seconds


def listed_user(identity: Identity, user: str | None = None) -> str | None:
    """User whose objects a list shows: the caller; for a superuser ``user``, or everyone (None)."""
    return user or None if identity.superuser else identity.user


def need_active(instance: Instance) -> None:
    """Refuse an instance that ends or has ended."""
    if not is_active(instance):
        raise BadRequestError("instance not active")
