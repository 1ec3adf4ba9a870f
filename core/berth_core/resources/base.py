"""Common ground of the typed resources."""

from collections.abc import Iterable
from typing import Any, ClassVar, Final, Self, TypeVar

from pydantic import Field, ValidationError

from berth_core.kube.errors import UnreadableError
from berth_core.kube.model import Model, Time
from berth_core.kube.types import Kind, Object
from berth_core.names import API_VERSION

LONGEST_WHY: Final = 512
NONCE: Final = "^[a-z0-9]+$"
"""Pattern of a nonce in an object's name (ADR 0024)."""


class OwnerReference(Model):
    """An owner of an object; the object is deleted after its owners."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Model):
    """The metadata that Berth reads; the API server keeps the rest."""

    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str = ""
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class Queued(Model):
    """Place in the queue: the earlier second goes first, then the lower version. Both come from the API server."""

    since: Time = Field(
        description="Time of arrival: metadata.creationTimestamp; after a restore, the one in the backup."
    )
    version: int = Field(
        description="metadata.resourceVersion that the object had when this place was first written.", ge=0
    )


class Returned(Model):
    """A lease that was taken beyond its user's quota."""

    deployment: str = Field(description="Name of the WorkspaceDeployment.", min_length=1, max_length=253)
    epoch: int = Field(description="Epoch of the lease: its number among the leases of the deployment.", ge=1)


RETURNED: Final = (
    "Lease that is given back unused, since it was beyond its user's quota. A later one replaces it once it has gone;"
    " never cleared."
)


class Column(Model):
    """A printer column of a kind."""

    name: str
    type: str = "string"
    json_path: str
    priority: int = 0
    description: str


class Rule(Model):
    """A CEL rule of a kind, at its root or where ``at`` says: ``spec``, ``status.epoch``.

    With every write, each step from ``self`` to a field costs the API server time for every field beside it. So rules
    of frequently written parts stand close to these.
    """

    rule: str
    message: str
    at: str = Field("", exclude=True)


QUEUED_RULE: Final = Rule(
    at="status",
    rule="!has(oldSelf.queued) || (has(self.queued) && self.queued.since >= oldSelf.queued.since"
    " && self.queued.version >= oldSelf.queued.version)",
    message="status.queued stays: a change may only move it back in the queue",
)


def returned_rules(known: str, lease: str) -> tuple[Rule, ...]:
    """Rules of a status with ``returned``. Where the status has the field ``known``, ``lease`` is the lease in use."""
    return (
        Rule(
            at="status", rule="!has(oldSelf.returned) || has(self.returned)", message="status.returned is never removed"
        ),
        Rule(
            at="status",
            rule=f"!has(self.returned) || !has({known}) || self.returned.epoch != {lease}.epoch"
            f" || self.returned.deployment != {lease}.deployment",
            message="the lease in status.returned goes back, and is never used",
        ),
    )


class Resource(Model):
    """Base of the kinds. Subclasses add ``spec`` and, where they have one, ``status``."""

    KIND: ClassVar[str]
    PLURAL: ClassVar[str]
    SHORT: ClassVar[str]
    COLUMNS: ClassVar[tuple[Column, ...]] = ()
    RULES: ClassVar[tuple[Rule, ...]] = ()
    SELECTABLE: ClassVar[tuple[str, ...]] = ()

    metadata: ObjectMeta

    @classmethod
    def api(cls) -> Kind:
        """API version and plural name under which the API server serves the kind."""
        return Kind(API_VERSION, cls.PLURAL)

    @classmethod
    def parse(cls, obj: Object) -> Self:
        """Read an object as the API server gave it.

        Raises:
            UnreadableError: the models refuse the object. The message does not show its content.

        """
        try:
            return cls.model_validate(obj)
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:LONGEST_WHY]
            raise UnreadableError(cls.KIND, obj["metadata"], why) from None

    @classmethod
    def stand_in(cls, obj: Object) -> Self | None:
        """Return the resource that replaces an unreadable object; None where none is needed."""
        del obj
        return None

    def reference(self) -> Object:
        """Owner reference to this object, for objects that are made for it."""
        return {
            "apiVersion": API_VERSION,
            "kind": self.KIND,
            "name": self.metadata.name,
            "uid": self.metadata.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }


def manifest(kind: type[Resource], namespace: str, name: str, spec: Model, **metadata: Any) -> Object:
    """Body of an object to create."""
    return {
        "apiVersion": API_VERSION,
        "kind": kind.KIND,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": spec.wire(),
    }


R = TypeVar("R", bound=Resource)


def oldest(resources: Iterable[R]) -> R:
    """Return the oldest of several resources with the same id or name, which keeps it."""
    return min(resources, key=lambda r: (r.metadata.creation_timestamp, r.metadata.namespace, r.metadata.name))
