"""Settings of a host."""

from pathlib import Path

import pytest

from berth_connector import config
from berth_connector.config import Config, ConfigError


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    settings = Config(
        (("hub.example.org", 8443), ("2001:db8::1", 8443)), "/tmp/state", ("127.0.0.1:30002", "[::1]:80"), 1.5,  # noqa: S108
        ("/usr/local/bin/stop", "--how", "at once; 100%"), 3.0,
    )  # fmt: skip
    path = tmp_path / "berth-connector.conf"
    path.write_text(config.render(settings))
    assert config.load(str(path)) == settings


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "hub is missing"),
        ({"hub": "hub.example.org"}, "no host:port"),
        ({"hub": "2001:db8::1:8443"}, "in brackets"),
        ({"hub": "h:1", "targets": "robot.local:80"}, "literal addresses"),
        ({"hub": "h:1", "targets": "127.0.0.1:0"}, "no host:port"),
        ({"hub": "h:1", "linklosstimeout": "0.1"}, "0.5 to 60"),
        ({"hub": "h:1", "linklosstimeout": "nan"}, "0.5 to 60"),
        ({"hub": "h:1", "ondisconnect": "stop 'robot"}, "onDisconnect cannot be read"),
        ({"hub": "h:1", "onDisconect": "stop"}, "no setting onDisconect"),
    ],
)
def test_a_setting_that_cannot_be_says_so(fields: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        config.parse(fields)


def test_a_missing_file_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="berth-connector enroll"):
        config.load(str(tmp_path / "none"))
