"""A wish for an instance, and the resource that it amounts to. Pure."""

from dataclasses import dataclass

from berth_api.auth import access
from berth_api.auth.identity import Identity
from berth_api.http.client_address import Address
from berth_api.http.errors import BadRequestError
from berth_api.http.options import LaunchOptions
from berth_core import repositories
from berth_core.resources import WorkspaceType
from berth_core.resources.instance import InstanceSpec


@dataclass(frozen=True)
class Target:
    """Wanted deployments: any of a type, or any of some ids."""

    type: str | None = None
    deployments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wish:
    """A request for an instance: caller, target, options, and the caller's address."""

    identity: Identity
    target: Target
    options: LaunchOptions
    address: Address


def need_fit(wish: Wish, kind: WorkspaceType) -> None:
    """Refuse a wish that no deployment of a type can serve. Raises BadRequestError."""
    access.expire_after(wish.identity, kind, wish.options.expire_d)
    if (repo := wish.options.repo) is None:
        return
    place = repositories.place(repo.url, repo.path)
    if volume := repositories.obstacle(place, [volume.mount_path for volume in kind.spec.template.volumes]):
        raise BadRequestError(f"value for option `repo`: {repositories.taken(place, volume)}")


def wished(wish: Wish, kind: WorkspaceType) -> InstanceSpec:
    """Spec of the wanted instance, without the fields that come from the lease or from a generated key."""
    options = wish.options
    return InstanceSpec(
        user=wish.identity.user,
        requester_address=str(wish.address),
        ssh_keys=[options.sshkey] if options.sshkey is not None else [],
        vpn=options.vpn,
        expire_after=access.expire_after(wish.identity, kind, options.expire_d),
        keep_alive=options.keepalive,
        repo=options.repo,
    )
