import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from berth_ci.places import KEY
from berth_ci.script import Machine, known_hosts, rendered, ssh_config


def run(text: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as a build's container does, with another work folder."""
    path = tmp_path / "script"
    path.write_text(text.replace("cd /work/src", f"cd {tmp_path}"))
    return subprocess.run(["/bin/sh", str(path)], capture_output=True, text=True, check=False)


def test_commands_are_shown_and_run_until_one_fails(tmp_path: Path) -> None:
    done = run(rendered(["echo $A", "cd /", "pwd", "sh -c 'exit 7'", "echo never"], {"A": "x"}), tmp_path)
    assert done.stdout == "$ echo $A\nx\n$ cd /\n$ pwd\n/\n$ sh -c 'exit 7'\n"
    assert done.returncode == 7


def test_a_command_of_several_lines_is_one(tmp_path: Path) -> None:
    command = "for i in 1 2; do\n  cat <<END\nline $i\nEND\ndone\n"
    done = run(rendered([command, "echo done"], {}), tmp_path)
    assert done.stdout == f"$ {command}line 1\nline 2\n$ echo done\ndone\n"


@given(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0\r\n"), max_size=60))
def test_values_come_as_they_are(value: str) -> None:
    text = rendered(['printf "%s" "$A" >&2'], {"A": value}).replace("cd /work/src", "cd /")
    done = subprocess.run(["/bin/sh"], input=text.encode(), capture_output=True, check=False)
    assert done.stderr.decode() == value


def test_ssh_knows_the_machine_and_no_other() -> None:
    machine = Machine("198.51.100.7", 30123, ("ssh-ed25519 AAAA", "ssh-rsa BBBB"))
    assert known_hosts(machine) == "[198.51.100.7]:30123 ssh-ed25519 AAAA\n[198.51.100.7]:30123 ssh-rsa BBBB\n"
    assert known_hosts(Machine("198.51.100.7", 22, ("ssh-rsa BBBB",))) == "198.51.100.7 ssh-rsa BBBB\n"
    config = ssh_config(machine)
    for line in ("HostName 198.51.100.7", "Port 30123", "User root", "StrictHostKeyChecking yes"):
        assert f"  {line}\n" in config
    assert f"  IdentityFile {KEY}\n" in config
