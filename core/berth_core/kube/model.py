"""The base of all typed parts of resources."""

import re
from datetime import UTC, datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from berth_core.kube.types import Object

TIME: Final = (
    r"^[1-8][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]"
    r"(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""The API server's ``date-time`` accepts more than RFC 3339, and years that overflow in sums."""

Time = Annotated[str, Field(pattern=TIME, json_schema_extra={"format": "date-time"})]
"""RFC 3339, which Berth writes in UTC with ``Z``."""

Name = Annotated[str, Field(min_length=1, max_length=253)]
"""Name of a Kubernetes object."""

Word = Annotated[str, Field(json_schema_extra={"maxLength": 253})]
"""Name in a list. Only the API server refuses longer names: those that are stored already stay readable."""

LONGEST_LEASE: Final = 100 * 365 * 86_400
"""Greatest value of a time in seconds."""
Seconds = Annotated[int, Field(json_schema_extra={"maximum": LONGEST_LEASE})]


def timestamp(moment: datetime) -> str:
    """Format a time as resources hold it, to the microsecond only where there is one."""
    utc = moment.astimezone(UTC)
    return utc.isoformat(timespec="microseconds" if utc.microsecond else "seconds").replace("+00:00", "Z")


def is_time(value: object) -> bool:
    """Whether a value, possibly from an unreadable object, is a time."""
    return isinstance(value, str) and re.fullmatch(TIME, value) is not None


def parse_time(text: str) -> datetime:
    """Read a time that a resource holds. Raises ValueError when it is none."""
    return datetime.fromisoformat(text)


class Model(BaseModel):
    """Base of all parts: camelCase on the wire, snake_case here; unknown fields are ignored."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def wire(self) -> Object:
        """Return the part in the API server's form, without fields that are None."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)
