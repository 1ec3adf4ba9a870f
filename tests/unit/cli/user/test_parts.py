"""Firewall rules, ssh's options, events of a stream, builds, and the files that are kept."""

import stat
from pathlib import Path
from typing import Any

import pytest

from berth_cli.ui.errors import CliError
from berth_cli.ui.terminal import printable
from berth_cli.user.builds import logs
from berth_cli.user.builds.events import Event, events
from berth_cli.user.firewall.rules import overruled, parse
from berth_cli.user.instances import store
from berth_cli.user.ssh import openssh
from berth_cli.user.ssh.openssh import Login


@pytest.mark.parametrize(
    ("words", "which", "sources"),
    [
        ([], None, ()),
        (["192.0.2.7"], None, ("192.0.2.7",)),
        (["misty", "192.0.2.0/24", "2001:db8::/32"], "misty", ("192.0.2.0/24", "2001:db8::/32")),
        (["misty"], "misty", ()),
    ],
)
def test_an_instance_is_told_from_sources(words: list[str], which: str | None, sources: tuple[str, ...]) -> None:
    found = parse(words)
    assert (found.which, found.sources) == (which, sources)


@pytest.mark.parametrize(
    ("source", "action", "first"),
    [
        ("192.0.2.7", "DROP", ("192.0.2.0/24", "ACCEPT")),
        ("192.0.2.7", "ACCEPT", None),
        ("192.0.0.0/16", "DROP", None),
        ("2001:db8::1", "ACCEPT", ("2001:db8::/32", "DROP")),
        ("198.51.100.1", "DROP", None),
    ],
)
def test_a_rule_that_an_earlier_one_decides_is_noticed(source: str, action: str, first: tuple[str, str] | None) -> None:
    rules = [("192.0.2.0/24", "ACCEPT"), ("192.0.2.0/25", "DROP"), ("2001:db8::/32", "DROP")]
    assert overruled(rules, source, action) == first


@pytest.mark.parametrize(
    ("words", "which", "ports"),
    [
        (["8080:80"], None, [(8080, 80)]),
        (["misty", "80", ":5000"], "misty", [(80, 80), (0, 5000)]),
    ],
)
def test_ports_are_kubectl_s(words: list[str], which: str | None, ports: list[tuple[int, int]]) -> None:
    assert openssh.ports(words) == (which, ports)


@pytest.mark.parametrize("words", [[], ["misty"], ["0"], ["80:0"], ["70000:80"], ["80", "misty"]])
def test_what_is_no_port_is_refused(words: list[str]) -> None:
    with pytest.raises(CliError):
        openssh.ports(words)


def test_files_there_are_told_from_files_here() -> None:
    assert openssh.instance_of(["a", ":b"]) is None
    assert openssh.instance_of(["7f3e:b", "7f3e:c", "."]) == "7f3e"
    for words in (["a", "./b:c"], ["7f3e:a", "8a4f:b"]):
        with pytest.raises(CliError):
            openssh.instance_of(words)
    assert [openssh.remote(word, "root@h") for word in (":a b", "./x:y", "7f3e:")] == ["root@h:a b", "./x:y", "root@h:"]


def login(key: Path | None, *, made: bool) -> Login:
    return Login("berth-1", "192.0.2.9", 30022, "root", Path("/home/a%b/known hosts"), key, made)


def test_ssh_trusts_the_announced_keys_only_and_asks_nothing() -> None:
    options = openssh.options(login(Path("/k"), made=True))
    assert options[::2] == ["-o"] * (len(options) // 2)
    settings = dict(word.split("=", 1) for word in options[1::2])
    assert settings["StrictHostKeyChecking"] == "yes"
    assert settings["UserKnownHostsFile"] == '"/home/a%%b/known hosts"'
    assert settings["GlobalKnownHostsFile"] == "none"
    assert settings["HostKeyAlias"] == "berth-1"
    assert int(settings["ServerAliveInterval"]) > 0, "a session with a node that is gone would wait for ever"
    assert (settings["BatchMode"], settings["IdentitiesOnly"], settings["IdentityFile"]) == ("yes", "yes", '"/k"')
    own = dict(word.split("=", 1) for word in openssh.options(login(Path("/k"), made=False))[1::2])
    assert "BatchMode" not in own, "a key of one's own may have a passphrase"
    assert "IdentityFile" not in str(openssh.options(login(None, made=False)))


def test_a_stream_is_read_as_the_standard_says() -> None:
    stream = (
        b": hello\n\nid: 1\ndata: one\n\ndata:two\ndata: lines\nid: 2\n\nevent: status\ndata: running\n\nevent: x\n\n"
    )
    stream += b"event: end\ndata: passed\n\ndata: cut off"
    assert list(events(stream.split(b"\n"))) == [
        Event("message", "one", "1"),
        Event("message", "two\nlines", "2"),
        Event("status", "running", "2"),
        Event("end", "passed", "2"),
    ]


def test_empty_lines_of_a_log_are_events_too_and_bad_bytes_do_not_end_it() -> None:
    assert list(events([b"data:", b"", b"data: \xff", b""])) == [
        Event("message", "", None),
        Event("message", "\ufffd", None),
    ]


def test_a_build_is_known_by_some_digits_else_it_is_the_newest() -> None:
    there: list[dict[str, Any]] = [{"id": "aaaa-1111"}, {"id": "aaaa-2222"}]
    assert logs.build_of(there, None) == "aaaa-1111"
    assert logs.build_of(there, "2222") == "aaaa-2222"
    for word, code in (("aaaa", 1), ("222", 4)):
        with pytest.raises(CliError) as raised:
            logs.build_of(there, word)
        assert raised.value.code == code
    with pytest.raises(CliError, match="berth ci run"):
        logs.build_of([], None)


@pytest.mark.parametrize(
    "url", ["https://git.example.test/lab/arm.git", "git@git.example.test:lab/arm.git", "/srv/arm/"]
)
def test_a_project_is_named_after_its_repository(url: str) -> None:
    assert logs.Checkout(url, "main").project == "arm"


def test_what_is_kept_is_for_this_user_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = store.keep_key("7f3e", "PEM\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert store.key("7f3e") == path
    assert store.keep_known_hosts("7f3e", ["ssh-ed25519 A", "ssh-rsa B"]).read_text() == (
        "berth-7f3e ssh-ed25519 A\nberth-7f3e ssh-rsa B\n"
    )
    own = tmp_path / "id with space"
    own.touch()
    store.keep_identity("7f3e", own)
    assert store.identity("7f3e") == own
    own.unlink()
    assert store.identity("7f3e") is None
    store.forget("7f3e")
    assert store.key("7f3e") is None
    for name in ("../x", "a/b", ".", ""):
        with pytest.raises(CliError):
            store.folder(name)


def test_others_words_do_not_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\u202ec\nd") == "a?[2Jb?c?d"
