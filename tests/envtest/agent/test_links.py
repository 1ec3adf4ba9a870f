"""Links and pipes of a VPN that was taken over, in the folder shared with the agent, lead the agent nowhere."""

import json
import os
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from .pod import EPOCH, Answer, Pod, wait_for

CRL = "-----BEGIN X509 CRL-----\nAA==\n-----END X509 CRL-----\n"
SECRET = "of the agent's own"


@pytest.fixture
def shared(pod: Pod) -> Path:
    """The folder, before the agent runs."""
    pod.vpn = pod.folder / "vpn-run"
    pod.vpn.mkdir()
    (pod.folder / "own").write_text(SECRET)
    pod.start()
    return pod.vpn


def refuse(pod: Pod) -> Answer:
    return pod.request("PUT", "/v1/vpn", json.dumps({"epoch": EPOCH, "crl": CRL, "revoked": []}))


def test_a_list_is_never_written_through_a_link(pod: Pod, shared: Path) -> None:
    for name in ("crl.pem", "crl.pem.new"):
        (shared / name).symlink_to(pod.folder / "own")
    assert refuse(pod).status == 200
    assert (pod.folder / "own").read_text() == SECRET
    assert not (shared / "crl.pem").is_symlink()
    assert (shared / "crl.pem").read_text() == CRL


def test_a_list_is_never_written_into_a_file_that_has_another_name(pod: Pod, shared: Path) -> None:
    os.link(pod.folder / "own", shared / "crl.pem.new")
    before = (pod.folder / "own").stat()
    assert refuse(pod).status == 200
    after = (pod.folder / "own").stat()
    assert (pod.folder / "own").read_text() == SECRET
    assert stat.S_IMODE(before.st_mode) == stat.S_IMODE(after.st_mode)


def test_a_complaint_is_no_other_file_and_no_pipe(pod: Pod, shared: Path) -> None:
    (shared / "problem").symlink_to(pod.folder / "own")
    assert pod.request("GET", "/v1/vpn") == (200, {"ready": False, "problem": ""})
    (shared / "problem").unlink()
    os.mkfifo(shared / "problem")
    assert pod.request("GET", "/v1/vpn") == (200, {"ready": False, "problem": ""})
    (shared / "problem").unlink()
    (shared / "problem").write_text("no device")
    assert pod.request("GET", "/v1/vpn") == (200, {"ready": False, "problem": "no device"})


def test_nobody_elses_socket_is_spoken_to(pod: Pod, shared: Path) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(pod.folder / "other.sock"))
        other.listen()
        other.setblocking(False)
        (shared / "management.sock").symlink_to(pod.folder / "other.sock")
        assert pod.request("GET", "/v1/vpn").fields["ready"] is False
        assert refuse(pod).status == 500
        with pytest.raises(BlockingIOError):
            other.accept()


def test_an_agent_whose_vpn_never_stops_talking_goes_on(pod: Pod, shared: Path) -> None:
    script = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()\n"
        "while True:\n"
        "    c, _ = s.accept()\n"
        "    try:\n"
        "        while True: c.sendall(b'x' * 65536)\n"
        "    except OSError: pass\n"
    )
    place = shared / "management.sock"
    with subprocess.Popen(["python3", "-c", script, str(place)]) as talker:
        try:
            wait_for(place.exists)
            assert refuse(pod).status == 500
            assert pod.request("GET", "/v1/state").status == 200
        finally:
            talker.kill()
