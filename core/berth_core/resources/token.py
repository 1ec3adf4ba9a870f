"""IssuedToken and TokenRevocation: tokens that were made, and tokens that were revoked."""

from typing import ClassVar

from pydantic import Field

from berth_core.kube.model import Model, Time, Word
from berth_core.resources.base import Column, Resource, Rule

SHA256 = r"^[0-9a-f]{64}$"


class IssuedTokenSpec(Model):
    """Record of a token. The token itself is not stored. Never changed."""

    sha256: str = Field(description="SHA-256 of the token, in hex.", pattern=SHA256)
    user: str = Field(description="User that the token stands for.", min_length=1, max_length=253)
    issued: Time = Field(description="When the token was made.")
    expires: Time = Field(description="When the token expires.")
    superuser: bool = Field(False, description="Whether the token may see and end everything.")
    read_only: bool = Field(False, description="Whether the token may only read.")
    own: bool = Field(
        False, description="Whether the token, although it is limited to scopes, may register and change machines."
    )
    instance: str | None = Field(
        None, description="Public id of the only instance that the token works for; absent for all.", max_length=253
    )
    types: list[Word] = Field(
        default_factory=list, description="typeNames that the token may instantiate; empty for all.", max_length=64
    )


class IssuedToken(Resource):
    """A token that was made by `berth token create`, named by its SHA-256."""

    KIND: ClassVar[str] = "IssuedToken"
    PLURAL: ClassVar[str] = "issuedtokens"
    SHORT: ClassVar[str] = "tok"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.user",)
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="User", json_path=".spec.user", description="User that the token stands for"),
        Column(
            name="Superuser",
            type="boolean",
            json_path=".spec.superuser",
            description="Whether the token may do everything",
        ),
        Column(name="Reads", type="boolean", json_path=".spec.readOnly", description="Whether the token may only read"),
        Column(name="Issued", type="date", json_path=".spec.issued", description="When it was made"),
        Column(name="Until", json_path=".spec.expires", description="When the token expires"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(rule="self.spec == oldSelf.spec", message="an IssuedToken's spec cannot be changed"),
        Rule(rule="self.metadata.name == self.spec.sha256", message="an IssuedToken is named by its spec.sha256"),
    )

    spec: IssuedTokenSpec


class TokenRevocationSpec(Model):
    """A revoked token. Never changed."""

    sha256: str = Field(description="SHA-256 of the token, in hex.", pattern=SHA256)
    user: str | None = Field(
        None,
        description="Only a token of this user is revoked. Absent, as superusers set it: the token is revoked"
        " whoever its user is.",
        min_length=1,
        max_length=253,
    )
    expires: Time = Field(description="When the token would have expired; the revocation is deleted then.")


class TokenRevocation(Resource):
    """Revocation of one token."""

    KIND: ClassVar[str] = "TokenRevocation"
    PLURAL: ClassVar[str] = "tokenrevocations"
    SHORT: ClassVar[str] = "trv"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.user", ".spec.sha256")
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="User", json_path=".spec.user", description="User of the token; empty for any user"),
        Column(name="SHA256", json_path=".spec.sha256", description="SHA-256 of the token"),
        Column(name="Until", json_path=".spec.expires", description="When the token would have expired"),
        Column(
            name="Age", type="date", json_path=".metadata.creationTimestamp", description="When the token was revoked"
        ),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            rule="self.spec == oldSelf.spec",
            message="a TokenRevocation's spec cannot be changed: revoked tokens stay revoked",
        ),
    )

    spec: TokenRevocationSpec
