"""A simulated robot: a linear axis of 400 mm, ``python -m berth_dev.demo.robot HOST PORT``.

A command is a line: ``move 10`` moves by millimetres, ``where`` asks for the position. A line answers
each. Each command is printed, with the address that it came from.
"""

import socketserver
import sys
import threading
from typing import Final

LENGTH: Final = 400
"""Millimetres from one end to the other."""
LONGEST_LINE: Final = 64
IDLE_SECONDS: Final = 10.0
GOT: Final = "command from "
"""Begins each line about a command."""
HELP: Final = "error: say `move MM` or `where`"


class Axis:
    """Position of the robot. Clients take turns."""

    def __init__(self) -> None:
        self._position = 0
        self._lock = threading.Lock()

    def obey(self, line: str) -> str:
        """Carry out a command and return the answer; a wrong command moves nothing."""
        with self._lock:
            match line.split():
                case ["where"]:
                    pass
                case ["move", distance] if _is_whole(distance):
                    target = self._position + int(distance)
                    if not 0 <= target <= LENGTH:
                        return f"error: {target} mm is past the end, from 0 to {LENGTH}"
                    self._position = target
                case _:
                    return HELP
            return f"at {self._position} mm"


class Server(socketserver.ThreadingTCPServer):
    """Serves one axis at an address and port, until its process ends."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, host: str, port: int) -> None:
        self.axis = Axis()
        super().__init__((host, port), Client)


class Client(socketserver.StreamRequestHandler):
    """A connection. It ends with a line that is too long, and after 10 s of silence."""

    server: Server
    timeout = IDLE_SECONDS

    def handle(self) -> None:
        """Obey line by line."""
        try:
            while (line := self.rfile.readline(LONGEST_LINE)).endswith(b"\n"):
                command = line.decode("ascii", "replace").strip()
                answer = self.server.axis.obey(command)
                print(f"{GOT}{self.client_address[0]}: {command!r}: {answer}", flush=True)
                self.wfile.write(f"{answer}\n".encode())
        except OSError:
            return  # the client is gone, or silent


def _is_whole(word: str) -> bool:
    """Whether a word is a whole number of few digits."""
    digits = word.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 4


if __name__ == "__main__":
    with Server(sys.argv[1], int(sys.argv[2])) as server:
        server.serve_forever()
