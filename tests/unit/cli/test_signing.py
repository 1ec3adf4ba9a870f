"""Which key signs."""

import base64
from typing import Any

import pytest

from berth_cli.errors import CliError
from berth_cli.signing import active_key


def secret(*kids: str, active: str | None = None) -> dict[str, Any]:
    data = {f"{kid}.pem": base64.b64encode(f"key {kid}".encode()).decode() for kid in kids}
    return {"metadata": {"annotations": {"berth.dev/active-kid": active}} if active else {}, "data": data}


def test_the_annotation_names_it() -> None:
    assert active_key(secret("a", "b", active="b")) == ("b", b"key b")


def test_a_single_key_needs_no_annotation() -> None:
    assert active_key(secret("a")) == ("a", b"key a")


@pytest.mark.parametrize(
    ("held", "choices"),
    [(secret("a", "b"), "a, b"), (secret("a", active="c"), "one of: a"), (secret(), "holds none")],
)
def test_otherwise_the_error_lists_what_there_is(held: dict[str, Any], choices: str) -> None:
    with pytest.raises(CliError, match=choices):
        active_key(held)
