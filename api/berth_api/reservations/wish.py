"""A wish for an instance, and the resource that it amounts to. Pure."""

from dataclasses import dataclass
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WithJsonSchema, model_validator

from berth_api.auth import access
from berth_api.auth.identity import Identity
from berth_api.http.bodies import LONGEST_URL, Options, Seconds
from berth_api.http.client_address import Address
from berth_api.http.errors import BadRequestError
from berth_core import repositories
from berth_core.keys.ssh import parse_public_key
from berth_core.resources import WorkspaceType
from berth_core.resources import instance as resource


def _public_key(text: str) -> str:
    try:
        return parse_public_key(text)
    except ValueError as error:
        raise ValueError(f"is no public key in OpenSSH's form: {error}") from error


def _http_url(text: str) -> str:
    try:
        parts = urlsplit(text)
        proper = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        proper = False
    if not proper or len(text) > LONGEST_URL or any(c.isspace() or not c.isprintable() for c in text):
        raise ValueError("must be an http or https URL")
    return parts.scheme + text[len(parts.scheme) :]  # in lower case, as resources hold it


SshKey = Annotated[str, AfterValidator(_public_key), WithJsonSchema({"type": "string", "format": "ssh-public-key"})]
HttpUrl = Annotated[str, AfterValidator(_http_url), WithJsonSchema({"type": "string", "format": "http-url"})]
GitUrl = Annotated[str, WithJsonSchema({"type": "string", "format": "git-url"})]
ClonePath = Annotated[str, WithJsonSchema({"type": "string", "format": "clone-path"})]


class Repo(BaseModel):
    """A git repository."""

    model_config = ConfigDict(strict=True, frozen=True)

    url: GitUrl = Field(
        description="https, http or git URL of up to 2048 characters, without user, password or query,"
        " readable for everyone."
    )
    path: ClonePath | None = Field(
        None,
        description="Where it is put, up to 255 characters: absolute, or below /root; without it a folder there of the"
        " repository's name.",
    )


class LaunchRequest(Options):
    """Options of an instance; unknown ones are ignored."""

    sshkey: SshKey | None = Field(None, description="Public key in OpenSSH's form; without it a pair is made.")
    vpn: bool = Field(False, description="Whether a VPN runs beside it.")
    reserve: bool = Field(False, description="Wait in the queue when all are busy.")
    eurl: HttpUrl | None = Field(
        None, description="http(s) URL that is told when the turn has come; up to 2048 characters."
    )
    expire_d: Seconds | None = Field(None, description="Seconds from readiness to the end.")
    keepalive: bool = Field(False, description="End it when no ping came for 60 seconds.")
    allow_noop: bool = Field(False, description="Answer with an active instance of the caller's that matches.")
    repo: Repo | None = Field(None, description="A git repository that is cloned into it.")

    @model_validator(mode="after")
    def _need_place(self) -> Self:
        if self.repo is not None:
            try:
                repositories.place(self.repo.url, self.repo.path)
            except ValueError as error:
                raise ValueError(f"value for option `repo`: its {error}") from error
        return self


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
    options: LaunchRequest
    address: Address


def need_fit(wish: Wish, kind: WorkspaceType) -> None:
    """Refuse a wish that no deployment of a type can serve. Raises BadRequestError."""
    access.expire_after(wish.identity, kind, wish.options.expire_d)
    if (repo := wish.options.repo) is None:
        return
    place = repositories.place(repo.url, repo.path)
    if volume := repositories.obstacle(place, [volume.mount_path for volume in kind.spec.template.volumes]):
        raise BadRequestError(f"value for option `repo`: {repositories.taken(place, volume)}")


def wished(wish: Wish, kind: WorkspaceType) -> resource.InstanceSpec:
    """Spec of the wanted instance, without the fields that come from the lease or from a generated key."""
    options = wish.options
    return resource.InstanceSpec(
        user=wish.identity.user,
        requester_address=str(wish.address),
        ssh_keys=[options.sshkey] if options.sshkey is not None else [],
        vpn=options.vpn,
        expire_after=access.expire_after(wish.identity, kind, options.expire_d),
        keep_alive=options.keepalive,
        repo=resource.Repo(**options.repo.model_dump()) if options.repo is not None else None,
    )
