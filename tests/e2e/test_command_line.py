"""`berth` as people use it: from asking to a shell, files, ports and a VPN; and what they see in a terminal."""

import json
import re
from pathlib import Path

import pytest
from desk import Desk
from lab import DEPLOYMENT_TYPE, Lab, Person

PAGE = "python3 -c 'import http.server as h; h.test(h.SimpleHTTPRequestHandler, port=5000, bind=\"127.0.0.1\")'"


@pytest.fixture
def desk(ada: Person, tmp_path: Path) -> Desk:
    home = tmp_path / "ada"
    home.mkdir()
    return Desk(ada, home)


def test_from_asking_to_giving_back_without_a_question(desk: Desk, bob: Person) -> None:
    shown = json.loads(desk.prints("types", "-o", "json"))
    assert next(row for row in shown if row["type"] == DEPLOYMENT_TYPE)["free"] == 2
    id_ = desk.prints("new", DEPLOYMENT_TYPE, "--for", "1h", "--wait", "-o", "name")
    info = json.loads(desk.prints("info", "-o", "json"))
    assert (info["id"], info["status"]) == (id_, "READY")

    assert desk.prints("ssh", "--", "id", "-un") == "root"
    failed = desk.types("ssh", id_[-8:], "--", "exit 7")
    assert (failed.returncode, failed.stdout) == (7, "")
    (desk.home / "program.py").write_text("print('aboard')\n")
    desk.prints("scp", "program.py", ":/tmp/")
    assert desk.prints("ssh", "--", "python3 /tmp/program.py | tee /tmp/result") == "aboard"
    desk.prints("scp", f"{id_}:/tmp/result", "got")
    assert (desk.home / "got").read_text() == "aboard\n"

    with desk.begins("ssh", "--", f"cd /tmp && {PAGE}"), desk.begins("port-forward", ":5000") as forwarding:
        assert forwarding.stdout is not None
        said = re.fullmatch(r"127\.0\.0\.1:(\d+) is port 5000 there\n", forwarding.stdout.readline())
        assert said is not None
        page = desk.person.run(
            ["curl", "-sS", "--retry", "20", "--retry-all-errors", "--retry-delay", "1", f"127.0.0.1:{said[1]}/result"]
        )
        assert page.stdout == "aboard\n", page.stderr

    address = desk.person.address()
    assert desk.prints("firewall", "show", "-o", "name") == f"{address}/32"
    desk.prints("firewall", "allow", bob.address())
    assert bob.probe(info, "open") <= 1.5
    desk.prints("firewall", "clear")
    bob.probe(info, "shut")
    desk.prints("firewall", "allow")
    desk.person.probe(info, "open")
    assert desk.prints("ssh", "--", "echo", "aboard") == "aboard"

    assert desk.prints("end", "--wait") == f"instance {id_} ends"
    gone = desk.types("ssh", id_)
    assert (gone.returncode, gone.stderr) == (1, f"berth: instance {id_} is TERMINATED: `berth new` takes another\n")


def test_another_host_key_is_refused(desk: Desk) -> None:
    id_ = desk.prints("new", DEPLOYMENT_TYPE, "--wait", "-o", "name")
    desk.prints("ssh", "--", "true")
    kept = desk.home / ".local" / "share" / "berth" / "instances" / id_
    info = json.loads(desk.prints("info", "-o", "json"))
    other = desk.person.public_key().rsplit(" ", 1)[0]
    words = (kept / "known_hosts").read_text().split()
    assert words[:3] == [f"berth-{id_}", *info["hostkeys"][0].split()[:2]]
    forged = desk.home / "forged"
    forged.write_text(f"berth-{id_} {other}\n")
    fwd, options = info["fwd"], ["-o", "StrictHostKeyChecking=yes", "-o", f"HostKeyAlias=berth-{id_}"]
    refused = desk.person.run(
        [
            "ssh",
            "-F",
            "none",
            *options,
            "-o",
            f"UserKnownHostsFile={forged}",
            "-p",
            str(fwd["port"]),
            fwd["ipv4"],
            "true",
        ]
    )
    assert "Host key verification failed" in refused.stderr
    desk.prints("end")


@pytest.mark.release(twin="tests/envtest/cli_user/test_reaching.py")
def test_a_vpn_s_profile_is_fetched_and_revoked(lab: Lab, desk: Desk) -> None:
    id_ = desk.prints("new", DEPLOYMENT_TYPE, "--vpn", "--wait", "-o", "name")
    made = desk.types("vpn", "get", "--file", "robot.ovpn")
    assert made.returncode == 0, made.stderr
    profile = desk.home / "robot.ovpn"
    assert profile.stat().st_mode & 0o077 == 0
    assert "<key>" in profile.read_text()
    client = made.stderr.split()[1].rstrip(":")
    assert desk.prints("vpn", "show", "-o", "name").split() == ["workspace", client]
    again = desk.types("vpn", "get", "--file", "robot.ovpn")
    assert (again.returncode, "<key>" in again.stdout) == (1, True), "a profile is never lost nor written over another"
    desk.prints("vpn", "revoke", client)
    assert client not in desk.prints("vpn", "show", "-o", "name")
    found = json.loads(lab.berth("doctor", "-o", "json"))
    assert {one["check"]: one["level"] for one in found}["TUN"] == "ok"
    desk.prints("end", id_)


@pytest.mark.release(twin="tests/envtest/cli_user/test_holding.py")
def test_what_people_see_while_they_wait_for_the_start(desk: Desk) -> None:
    with desk.terminal() as terminal:
        terminal.runs(f"berth new {DEPLOYMENT_TYPE} --wait")
        screen = terminal.shows("`berth ssh` opens a shell")
        assert re.search(r"status +READY", screen)
        assert re.search(r"until +\S+ \(in 1h5[0-9]m\)", screen)
        assert "✓" not in screen, "the progress line goes when it has done its work"
        terminal.runs("clear; berth list")
        terminal.shows("INSTANCE")
        terminal.shows("READY")
        assert "\x1b[32m" in terminal.colours(), "READY is green on a terminal"
        terminal.runs("clear; berth ssh")
        terminal.shows("#")
        terminal.types("tty; exit")
        terminal.shows("/dev/pts/")
        terminal.runs("clear; berth end; echo code $?")
        terminal.shows("code 0")


@pytest.mark.release(twin="tests/envtest/cli_user/test_holding.py")
def test_ctrl_c_in_the_queue_asks_and_does_as_told(desk: Desk, bob: Person) -> None:
    held = [bob.takes(DEPLOYMENT_TYPE) for _ in range(2)]
    question = "[c]ancel it, [l]eave it, [w]ait on"
    with desk.terminal() as terminal:
        terminal.runs(f"berth new {DEPLOYMENT_TYPE} --reserve --wait; echo code $?")
        terminal.shows("queue: place 1")
        terminal.presses("C-c")
        terminal.shows(question)
        terminal.types("c")
        assert "is given up" in terminal.shows("code 130")
        assert desk.prints("reservations", "list", "-o", "name") == ""

        terminal.runs(f"clear; berth new {DEPLOYMENT_TYPE} --reserve --wait; echo code $?")
        terminal.shows("queue: place 1")
        terminal.presses("C-c")
        terminal.shows(question)
        terminal.types("w")
        terminal.shows("queue: place 1")
        bob.ends(held[0])
        screen = terminal.shows("code 0")
        assert re.search(r"status +READY", screen)
        terminal.runs("clear; berth ssh -- hostname")
        terminal.shows("workspace")
        terminal.runs("clear; berth end; echo code $?")
        terminal.shows("code 0")
    bob.ends(held[1])


def test_the_lab_is_well(lab: Lab) -> None:
    found = json.loads(lab.berth("doctor", "-o", "json"))
    assert [one for one in found if one["level"] in ("failed", "warning")] == []
    levels = {one["check"]: one["level"] for one in found}
    for check in ("cluster version", "NetworkPolicy", "resources (CRDs)", "leader", "agents' authority", "keys"):
        assert levels[check] == "ok", found
