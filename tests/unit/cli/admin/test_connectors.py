"""The command for a host, and the systemd unit that it installs."""

import configparser
import hashlib
import shlex

from berth_cli.admin.connectors.enrolment import Invitation, command
from berth_connector import __main__ as connector
from berth_connector.installing import places, unit
from berth_core.resources import Connector

CONNECTOR = Connector.parse({"metadata": {"name": "bench-7", "uid": "c"}, "spec": {}})
INVITATION = Invitation(
    CONNECTOR,
    "c.secret",
    "hub.example.org:8443",
    "sha256:abc",
    ("127.0.0.1:30002", "[::1]:80"),
    "stop-robot --how 'at once'",
)


def test_the_connector_understands_the_words_that_the_command_gives_it() -> None:
    line = command(INVITATION, b"file", root=True)
    words = shlex.split(line)
    assert hashlib.sha256(b"file").hexdigest() in line
    assert "sudo" in words
    options = connector._parser().parse_args(words[words.index("enroll") :])
    assert (options.hub, options.trust, options.token) == (["hub.example.org:8443"], "sha256:abc", "c.secret")
    assert options.target == ["127.0.0.1:30002", "[::1]:80"]
    assert shlex.split(options.on_disconnect) == ["stop-robot", "--how", "at once"]
    assert "sudo" not in command(INVITATION, b"file", root=False)


def test_the_unit_is_confined_as_root_and_lies_in_the_home_of_another_user() -> None:
    for root in (True, False):
        parsed = configparser.ConfigParser(strict=False, interpolation=None)
        parsed.optionxform = str  # type: ignore[method-assign,assignment]
        where = places(root, "/home/alice")
        parsed.read_string(unit(where, root))
        service = parsed["Service"]
        assert service["ExecStart"].endswith(f"{where.program} run --config {where.config}")
        assert (service.get("DynamicUser") == "yes") == root
        assert int(service["WatchdogSec"]) > 2
        assert where.unit.startswith("/etc/systemd/system/" if root else "/home/alice/.config/systemd/user/")
