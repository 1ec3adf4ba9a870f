"""People and their programs, played: what they ask of the API, how they repeat it, and what they were told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from berth_api.http.errors import ALL_BUSY, INSTANCE_BUSY
from berth_api.launch.service import NONE_MATCHES

from .api import Api
from .stage import Stage

PATIENCE_SECONDS: Final = 30.0
AGAIN_SECONDS: Final = 2.0
TRIES: Final = 4
FOR_NOW: Final = (
    ALL_BUSY,
    INSTANCE_BUSY,
    NONE_MATCHES,
    "workspace deployment is locked out: it takes no new instances",
)
"""Answers that say what is so: machines are busy, are being made again, or are locked; an instance has none yet."""

Answered = Callable[[int, dict[str, Any]], object]


@dataclass
class Users:
    """All users of a history, with what each believes to have."""

    stage: Stage
    instances: dict[str, list[str]] = field(default_factory=dict)
    reservations: dict[str, list[str]] = field(default_factory=dict)
    repeat: dict[str, Callable[[], None]] = field(default_factory=dict)
    """Sends the last launch of each user once more, with its Idempotency-Key."""
    made: dict[str, str] = field(default_factory=dict)
    """Id that each Idempotency-Key was first answered with."""
    quiet: bool = False
    """Whether nothing new is asked for."""

    def ask(self, user: str, path: str, body: dict[str, Any], answered: Answered, key: str = "") -> None:
        """Send a request to some API process, and again to some where there was no answer or a failure."""
        self._try(user, path, body, answered, key, TRIES if key else 1)

    def _try(self, user: str, path: str, body: dict[str, Any], answered: Answered, key: str, tries: int) -> None:
        stage = self.stage
        api: Api | None = stage.world.random.choice(stage.apis) if stage.apis else None
        settled: list[int] = []
        call = stage.oracle.asks(user) if path.startswith("/new") else 0

        def told(status: int, answer: dict[str, Any]) -> None:
            if settled:
                return
            settled.append(status)
            words = str(answer.get("error_message") or answer.get("id") or "")
            stage.cluster.say(user, f"told {status}", path, words)
            self._judge(status, path, words)
            if status and call:
                stage.oracle.answered(call)
            if (status == 0 or status >= 500) and tries > 1 and not self.quiet:
                stage.world.at(AGAIN_SECONDS, partial(self._try, user, path, body, answered, key, tries - 1))
            else:
                answered(status, answer)

        stage.cluster.say(user, "asks", path, api.name if api is not None else "nobody")
        stage.world.at(PATIENCE_SECONDS, lambda: told(0, {}))
        if api is not None:
            stage.call(api, path, user, body, told, key)

    def _judge(self, status: int, path: str, words: str) -> None:
        """Nobody is told 500. Where nothing goes wrong, everybody is answered, and refused for good reason only."""
        stage, fails = self.stage, status == 0 or status >= 500
        if path.startswith("/new"):
            fails = status not in (200, 403) and words not in FOR_NOW
        if status == 500:
            stage.cluster.violated(f"a client was told 500: {words}")
        elif stage.calm and fails and words not in FOR_NOW and not path.startswith("/vpn/"):  # it may be revoked
            stage.cluster.violated(f"a client was told {status} though nothing went wrong: {words}")

    def launch(self, user: str, *, reserve: bool, expire: int | None, again: bool = True, vpn: bool = False) -> None:
        """POST /new, with an Idempotency-Key where it may be asked again."""
        key = f"key-{self.stage.number()}" if again else ""
        body: dict[str, Any] = {"sshkey": None, "reserve": reserve}
        if expire is not None:
            body["expire_d"] = expire
        if vpn:
            body["vpn"] = True

        def answered(status: int, answer: dict[str, Any]) -> None:
            if status != 200:
                return
            if answer.get("success"):
                self.instances.setdefault(user, []).append(answer["id"])
                self.stage.oracle.told(user, answer["id"])
            else:
                self.reservations.setdefault(user, []).append(answer["id"])
                self.stage.oracle.reserved.add(answer["id"])
            if key and self.made.setdefault(key, answer["id"]) != answer["id"]:
                self.stage.cluster.violated("idempotency: a key was answered with another id")

        self.repeat[user] = lambda: self.ask(user, "/new/bench", body, answered, key)
        self.repeat[user]()

    def again(self, user: str) -> None:
        """Repeat the last POST /new, as one does who did not get its answer."""
        if user in self.repeat:
            self.repeat[user]()

    def end(self, user: str, instance: str) -> None:
        """POST /terminate."""
        self.stage.oracle.let_go(instance)
        self.ask(user, f"/terminate/{instance}", {}, lambda *_: None)

    def cancel(self, user: str, reservation: str) -> None:
        """DELETE /reservation."""
        self.stage.oracle.let_go(reservation)
        self.ask(user, f"/cancel/{reservation}", {}, lambda *_: None)

    def show(self, user: str, instance: str) -> None:
        """GET /instance: who was told of it finds it, through any process."""

        def answered(status: int, _: dict[str, Any]) -> None:
            if status == 404 and self.stage.oracle.is_there(instance):
                self.stage.cluster.violated("I8: an instance that a client was told of is not found")

        self.ask(user, f"/show/{instance}", {}, answered)
