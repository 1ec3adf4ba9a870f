"""IssuedToken and TokenRevocation: tokens that were made, and tokens that do not count any more."""

from typing import ClassVar

from pydantic import Field

from berth_core.kube.model import Model, Time, Word
from berth_core.resources.base import Column, Resource, Rule

SHA256 = r"^[0-9a-f]{64}$"


class IssuedTokenSpec(Model):
    """What was said when a token was made. The token itself is nowhere. Never changed."""

    sha256: str = Field(description="SHA-256 of the token, in hex.", pattern=SHA256)
    user: str = Field(description="Whom it speaks for.", min_length=1, max_length=253)
    issued: Time = Field(description="When it was made.")
    expires: Time = Field(description="Until when it counts.")
    superuser: bool = Field(False, description="Whether it sees and ends everything.")
    read_only: bool = Field(False, description="Whether it only reads.")
    instance: str | None = Field(None, description="The only instance that it works for.", max_length=253)
    types: list[Word] = Field(
        default_factory=list, description="The only types that it may instantiate; empty for all.", max_length=64
    )


class IssuedToken(Resource):
    """A token that was made by `berth token create`, named by its SHA-256."""

    KIND: ClassVar[str] = "IssuedToken"
    PLURAL: ClassVar[str] = "issuedtokens"
    SHORT: ClassVar[str] = "tok"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.user",)
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="User", json_path=".spec.user", description="Whom it speaks for"),
        Column(name="Superuser", type="boolean", json_path=".spec.superuser", description="Whether it may everything"),
        Column(name="Reads", type="boolean", json_path=".spec.readOnly", description="Whether it only reads"),
        Column(name="Issued", type="date", json_path=".spec.issued", description="When it was made"),
        Column(name="Until", json_path=".spec.expires", description="Until when it counts"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(rule="self.spec == oldSelf.spec", message="an IssuedToken's spec cannot be changed"),
        Rule(rule="self.metadata.name == self.spec.sha256", message="an IssuedToken is named by its spec.sha256"),
    )

    spec: IssuedTokenSpec


class TokenRevocationSpec(Model):
    """A token that does not count. Never changed."""

    sha256: str = Field(description="SHA-256 of the token, in hex.", pattern=SHA256)
    user: str | None = Field(
        None,
        description="Counts against a token of this user only; absent against anyone's, as superusers say it.",
        min_length=1,
        max_length=253,
    )
    expires: Time = Field(description="When the token would have expired: the revocation is deleted then.")


class TokenRevocation(Resource):
    """The end of one token."""

    KIND: ClassVar[str] = "TokenRevocation"
    PLURAL: ClassVar[str] = "tokenrevocations"
    SHORT: ClassVar[str] = "trv"
    SELECTABLE: ClassVar[tuple[str, ...]] = (".spec.user", ".spec.sha256")
    COLUMNS: ClassVar[tuple[Column, ...]] = (
        Column(name="User", json_path=".spec.user", description="Whose token; empty for anyone's"),
        Column(name="SHA256", json_path=".spec.sha256", description="Which token"),
        Column(name="Until", json_path=".spec.expires", description="When the token would have expired"),
        Column(name="Age", type="date", json_path=".metadata.creationTimestamp", description="Since when"),
    )
    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            rule="self.spec == oldSelf.spec",
            message="a TokenRevocation's spec cannot be changed: revoked tokens stay revoked",
        ),
    )

    spec: TokenRevocationSpec
