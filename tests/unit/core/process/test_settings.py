"""Settings by type, and refusals that name the variable."""

from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from berth_core.process.settings import (
    AMOUNT,
    COUNT,
    LENGTH,
    NETWORKS,
    OBJECT,
    PORT,
    PORTS,
    SWITCH,
    TEXTS,
    SettingError,
    Settings,
)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (COUNT, " 12 ", 12),
        (AMOUNT, "1099511627776", 1 << 40),
        (PORT, "65535", 65535),
        (PORT, "0", 0),
        (PORTS, "22, 443,", {22, 443}),
        (LENGTH, "90s", timedelta(seconds=90)),
        (NETWORKS, "10.0.0.0/8,fd00::/8", (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))),
        (NETWORKS, "::ffff:192.168.7.0/120", (ip_network("192.168.7.0/24"),)),
        (SWITCH, "true", True),
        (TEXTS, '{"a": "b"}', {"a": "b"}),
        (OBJECT, '{"a": {"b": 1}}', {"a": {"b": 1}}),
    ],
)
def test_a_variable_is_read_by_its_type(kind: TypeAdapter[Any], text: str, value: object) -> None:
    assert Settings({"BERTH_X": text}).read("BERTH_X", kind, None) == value


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (COUNT, "0"),
        (AMOUNT, "0"),
        (COUNT, "-1"),
        (COUNT, "1e3"),
        (COUNT, "99999999999"),
        (PORT, "65536"),
        (PORTS, "22,http"),
        (LENGTH, "30"),
        (NETWORKS, "10.0.0.1/8"),
        (NETWORKS, "robots"),
        (SWITCH, "yes"),
        (TEXTS, "["),
        (TEXTS, '["x"]'),
        (TEXTS, '{"a": 1}'),
    ],
)
def test_a_malformed_variable_is_named_with_its_text(kind: TypeAdapter[Any], text: str) -> None:
    with pytest.raises(SettingError, match="BERTH_X is ") as refused:
        Settings({"BERTH_X": text}).read("BERTH_X", kind, None)
    assert repr(text) in str(refused.value)


@pytest.mark.parametrize("environment", [{}, {"BERTH_X": ""}, {"BERTH_X": " "}])
def test_an_empty_variable_is_as_good_as_none(environment: dict[str, str]) -> None:
    settings = Settings(environment)
    assert settings.read("BERTH_X", COUNT, 7) == 7
    assert settings.text("BERTH_X", "default") == "default"
    assert settings.path("BERTH_X", None) is None
    with pytest.raises(SettingError, match="BERTH_X is not set"):
        settings.required("BERTH_X")


def test_an_empty_list_is_a_list() -> None:
    assert Settings({}).words("BERTH_X", ("all",)) == ("all",)
    assert Settings({"BERTH_X": ""}).words("BERTH_X", ("all",)) == ()
    assert Settings({"BERTH_X": "a, b,"}).words("BERTH_X") == ("a", "b")


def test_paths_are_paths() -> None:
    assert Settings({"BERTH_X": "/etc/berth"}).path("BERTH_X", None) == Path("/etc/berth")
