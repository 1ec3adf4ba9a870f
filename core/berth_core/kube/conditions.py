"""Conditions by the Kubernetes API conventions. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Literal

from pydantic import Field

from berth_core.kube.model import Model, Time, timestamp

Status = Literal["True", "False", "Unknown"]


class Condition(Model):
    """One aspect of a resource's state, in the form that all Kubernetes tools read."""

    type: str = Field(description="Which aspect this is about, in CamelCase.", max_length=316)
    status: Status = Field(description="Whether the aspect holds.")
    observed_generation: int | None = Field(
        None, description="metadata.generation that the condition was computed from.", ge=0
    )
    last_transition_time: Time = Field(description="When the status last changed.")
    reason: str = Field(description="Why, as a CamelCase word for programs.", max_length=1024)
    message: str = Field("", description="Why, as a sentence for people.", max_length=32768)


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Return the condition of a type, or None."""
    return next((c for c in conditions if c.type == kind), None)


def is_true(conditions: Iterable[Condition], kind: str) -> bool:
    """Tell whether the condition of a type is there and True."""
    condition = find(conditions, kind)
    return condition is not None and condition.status == "True"


def merged(old: Sequence[Condition], new: Iterable[Condition]) -> list[Condition]:
    """Put new conditions over old ones, sorted by type; an unchanged status keeps its transition time."""
    by_type = {c.type: c for c in old}
    for condition in new:
        former = by_type.get(condition.type)
        if former is not None and former.status == condition.status:
            condition = condition.model_copy(update={"last_transition_time": former.last_transition_time})
        by_type[condition.type] = condition
    return [by_type[kind] for kind in sorted(by_type)]


def condition(
    kind: str, status: Status | bool, reason: str, message: str, *, now: datetime, generation: int | None = None
) -> Condition:
    """Make a condition. ``now`` counts only when the status changes (see :func:`merged`)."""
    word: Status = status if isinstance(status, str) else "True" if status else "False"
    return Condition(
        type=kind,
        status=word,
        reason=reason,
        message=message,
        last_transition_time=timestamp(now),
        observed_generation=generation,
    )
