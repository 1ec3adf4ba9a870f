"""Names that Berth gives are kept for it: the policies have one pattern, made here."""

import inspect
import re
from typing import Any, Final

import pytest

from berth_core import names

ID: Final = "01900000-0000-7000-8000-000000000001"
ARGUMENTS: Final[dict[str, Any]] = {
    **dict.fromkeys(("instance_id", "deployment_id", "build_id", "client_id", "reservation_uid", "build_uid"), ID),
    **dict.fromkeys(("epoch", "attempt", "number", "step"), 3),
    **dict.fromkeys(("workspace", "job", "pod"), f"i-{ID}-e3"),
    **dict.fromkeys(("type_name", "name", "device", "hook", "what"), "arm"),
    "nonce": "k7",
}
ELSEWHERE: Final = {"password_secret": "in the access namespace, which is the registrar's", "agent_dns": "a DNS name"}
GIVEN: Final = [
    name
    for name, function in inspect.getmembers(names, inspect.isfunction)
    if not name.startswith("_") and function.__annotations__["return"] is str and name not in ELSEWHERE
]


@pytest.mark.parametrize("name", GIVEN)
def test_a_name_that_berth_gives_is_reserved(name: str) -> None:
    function = getattr(names, name)
    given = function(**{one: ARGUMENTS[one] for one in inspect.signature(function).parameters})
    assert re.fullmatch(names.RESERVED, given)


@pytest.mark.parametrize("name", [names.RELEASE_CONFIGMAP, names.LEASES_BUDGET, names.CLOSED_POLICY])
def test_what_the_chart_and_the_leader_make_is_reserved(name: str) -> None:
    assert re.fullmatch(names.RESERVED, name)


@pytest.mark.parametrize("name", ["arm-1", "m-1", "i-robot", "berth-notes", ID, f"x-{ID}"])
def test_names_of_people_are_not(name: str) -> None:
    assert not re.fullmatch(names.RESERVED, name)
