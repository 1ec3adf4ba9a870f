"""Following a request through the queue and the start until READY; and giving it up."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from berth_cli.ui.errors import BUSY, FAILED, LATE, NOT_FOUND, UNREACHABLE, CliError
from berth_cli.user import session
from berth_cli.user.client import Api, Refused
from berth_cli.user.instances import waiting
from berth_cli.user.session import Json, escaped

Tell = Callable[[str], None]
PATIENCE_SECONDS = 60.0
"""How long the API may be away during the wait."""
MADE_SECONDS = 30.0
"""Longest time from the end of a reservation until its instance exists; after it the reservation was given up."""


@dataclass
class Asked:
    """Result of a request so far: an instance, or a reservation and then its instance."""

    instance: str | None = None
    reservation: str | None = None
    expected: str | None = None
    """The instance that the reservation will get."""

    @property
    def what(self) -> str:
        """Its name for people."""
        return f"instance {self.instance}" if self.instance else f"reservation {self.reservation}"


class Follower:
    """Polls the API, tells the progress, and tolerates short outages of the API."""

    def __init__(self, api: Api, tell: Tell, seconds: float | None) -> None:
        self._api = api
        self._tell = tell
        self._answered = time.monotonic()
        self._until = None if seconds is None else time.monotonic() + seconds

    def until_ready(self, target: Asked) -> Json:
        """Wait until READY; return the instance as `GET /instance/:id` shows it. Raises CliError."""
        queued = target.reservation is not None
        if target.instance is None:
            self._turn(target)
        since = time.monotonic()
        for pause in waiting.looks(waiting.INSTANCE_LOOK):
            info = self._look(f"/instance/{escaped(target.instance or '')}")
            if info is None:
                if time.monotonic() - since > MADE_SECONDS:
                    raise CliError(f"{target.what} is not there: its reservation was given up", NOT_FOUND)
                self._tell("queue ✓  machine …")
            elif info["status"] == "READY":
                return info
            elif info["status"] in waiting.FAILED_WORDS:
                why = info.get("message") or "somebody ended it"
                raise CliError(f"{target.what} is {info['status']}: {why}: `berth new` takes another", FAILED)
            else:
                self._tell(waiting.line(waiting.steps(info, queued=queued)))
            self._sleep(pause, target)
        raise AssertionError("looks do not end")

    def until_ended(self, instance: str) -> None:
        """Wait until an instance has ended completely."""
        for pause in waiting.looks(waiting.INSTANCE_LOOK):
            info = self._look(f"/instance/{escaped(instance)}")
            if info is None or info["status"] in ("TERMINATED", "INIT_FAIL"):
                return
            self._tell(f"instance {instance} is {info['status']}")
            self._sleep(pause, Asked(instance))

    def _turn(self, target: Asked) -> None:
        """Wait in the queue until the reservation is gone; its instance is made then."""
        for pause in waiting.looks(waiting.QUEUE_LOOK):
            reservation = self._look(f"/reservation/{escaped(target.reservation or '')}")
            if reservation is None:
                break
            target.expected = reservation["instance"]
            self._tell(waiting.place(reservation))
            self._sleep(pause, target)
        target.instance = target.expected or _newest(self._api)

    def _look(self, path: str) -> Json | None:
        """Read an object; None where it does not exist."""
        while True:
            try:
                answer: Json = self._api.get(path)
            except Refused as error:
                if error.code == NOT_FOUND:
                    return None
                away = time.monotonic() - self._answered
                if error.code not in (UNREACHABLE, BUSY) or away > PATIENCE_SECONDS:
                    raise
                self._tell("the API does not answer; trying again")
                time.sleep(min(error.retry_after or 1.0, PATIENCE_SECONDS))
            else:
                self._answered = time.monotonic()
                return answer

    def _sleep(self, pause: float, target: Asked) -> None:
        seconds = pause if self._until is None else self._until - time.monotonic()
        if seconds <= 0:
            raise CliError(f"{target.what} goes on, but is not ready in the time of --timeout: `berth list`", LATE)
        time.sleep(min(pause, seconds))


def _newest(api: Api) -> str:
    """Id of the caller's newest instance: the reservation's, when its turn came before it was read once."""
    there = session.active(api)
    if not there:
        raise CliError("the reservation is gone, and there is no instance: it was given up", NOT_FOUND)
    return str(there[0]["id"])


def place(api: Api, target: Asked) -> Json | None:
    """Read the reservation; None where its turn has come, with the instance set in ``target``."""
    try:
        return dict(api.get(f"/reservation/{escaped(target.reservation or '')}"))
    except Refused as error:
        if error.code != NOT_FOUND:
            raise
        target.instance = _newest(api)
        return None


def give_up(api: Api, target: Asked) -> str:
    """End the reservation or the instance that came of it. Returns what was done."""
    if target.instance is None:
        try:
            api.delete(f"/reservation/{escaped(target.reservation or '')}")
        except Refused as error:
            if error.code != NOT_FOUND:
                raise
            target.instance = target.expected or _newest(api)
        else:
            return f"reservation {target.reservation} is given up"
    return end(api, target.instance)


def end(api: Api, instance: str) -> str:
    """End an instance; an ending or ended one is left alone. Returns what was done."""
    try:
        api.post(f"/terminate/{escaped(instance)}")
    except Refused as error:
        word = error.said.removeprefix("instance is ")
        if word not in waiting.FAILED_WORDS:
            raise
        return f"instance {instance} is {word} already"
    return f"instance {instance} ends"
