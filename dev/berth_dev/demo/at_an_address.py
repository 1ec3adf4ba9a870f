"""The tour's robot at an address of its own: its lease reaches it, and no other workspace does."""

import json
from pathlib import Path

from rich.markup import escape

from berth_dev.cluster.network import ROBOT
from berth_dev.commands import run
from berth_dev.demo import axis
from berth_dev.demo.axis import Robot
from berth_dev.demo.steps import READY_WITHIN, Lease, give_back, ready, take, title
from berth_dev.demo.visitor import Visitor, out, wait
from berth_dev.errors import ClusterError

SILENCE = 2
UNHEARD = f"no answer for {SILENCE} s"
FORTH, BACK = "move 10", "move -10"


def play(ada: Visitor, bob: Visitor, other: Lease, folder: Path) -> None:
    """Lend the robot to Ada, then to Bob, who has an instance of another type all the time.

    Raises ClusterError where somebody reaches it who should not, or the holder does not.
    """
    title(f"A robot at an address of its own, {ROBOT.address}: the operator lends it while it answers")
    robot = axis.lend()
    before = len(robot.commands())
    ada.ask("GET", f"/deployment/{robot.id}")
    title("Ada gets it and drives it from her workspace")
    lease = take(ada, f"/new/{robot.id}", folder)
    _drives(ada, lease, FORTH)
    title("Bob's workspace, of another type, sends a command: no packet of it arrives")
    bob.enters(other.login, f"{_command('move 300')} || echo {UNHEARD}")
    _shows(robot, before, [FORTH])
    title("Bob waits in the queue; Ada gives the robot back, and Bob gets it")
    public = run(["ssh-keygen", "-y", "-f", other.login.key]).stdout.strip()
    bob.ask("POST", f"/new/{robot.id}", {"reserve": True, "sshkey": public})
    give_back(ada, lease)
    bobs = ready(bob, _turn(bob, other.instance), other.login.key)
    _drives(bob, bobs, BACK)
    _shows(robot, before, [FORTH, BACK])


def _command(words: str) -> str:
    """Shell command that sends a line to the robot and prints its answer."""
    talk = f"exec 3<>/dev/tcp/{ROBOT.address}/{axis.PORT}; echo {words} >&3; head -1 <&3"
    return f"timeout {SILENCE} bash -c '{talk}'"


def _drives(visitor: Visitor, lease: Lease, words: str) -> None:
    answer = visitor.enters(lease.login, _command(words))
    if not answer.startswith("at "):
        raise ClusterError(f"the robot answered {words!r} with {answer!r}: see its log")


def _shows(robot: Robot, before: int, expected: list[str]) -> None:
    """Print which commands the robot got in this tour; ClusterError where they are not the expected ones."""
    commands = robot.commands()[before:]
    out.print("  the robot's own log, with the addresses of workspaces:")
    for one in commands:
        out.print(f"  [green]{escape(one.text)}[/]", soft_wrap=True)
    if [one.words for one in commands] != expected:
        raise ClusterError(f"the robot got other commands than its holders sent: see {robot.log}")


def _turn(visitor: Visitor, other: str) -> str:
    """Wait until a visitor has an instance besides one, and answer its id."""
    found: list[str] = []

    def came() -> bool:
        listed = json.loads(visitor.send("GET", "/instances").text)["workspace_instances"]
        found[:] = [one for one in listed if one != other]
        return bool(found)

    wait("the turn in the queue", READY_WITHIN, came)
    return str(found[0])
