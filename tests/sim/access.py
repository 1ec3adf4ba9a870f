"""Access rules: owners forbid and permit over HTTP, administrators with kubectl; the forbidden get no new lease.

The operator reads the rules of a machine right before it takes that for somebody, so what it has read binds it. An API
process is bound by every rule whose making a client was told of before it began with a request.
"""

from typing import Any, Final
from uuid import UUID

from berth_core import ids
from berth_core.kube.types import Object
from berth_operator.kinds import ACCESS_RULES

from .cluster import LAB
from .loops import BEGIN
from .part import Part
from .plan import USERS, Event
from .stage import Stage
from .users import Users
from .wire import Commit, Request

NO: Final = "CAP_NO_INSTANTIATE"
YES: Final = "CAP_INSTANTIATE"
SKEW_SECONDS: Final = 3.0
"""By how much an API process may be wrong about the store's time, in which ids of instances are made."""
SETTLED_SECONDS: Final = 20.0
"""After so long who is permitted again is so in every cache."""


class Access(Part):
    """All access rules of a history."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self._since: dict[tuple[str, str], float] = {}
        """Since when a user may not have a machine."""
        self._told: dict[tuple[str, str], float] = {}
        """Since when a client knows."""
        self._permitted: dict[str, float] = {}
        """When a user was last permitted something again."""
        self._read: dict[tuple[str, str], float] = {}
        """When an operator last read the rules of a machine."""
        self._free: dict[str, float] = {}
        """Since when a machine is free."""
        stage.cluster.store.listeners.append(self._commit)
        stage.cluster.listeners.append(self._asked)
        stage.oracle.shut_out = self._shut_out

    # ---- what people do

    def forbid(self, users: Users, event: Event) -> None:
        """Make a rule: for one or for everybody, mostly one that forbids."""
        stage = self.stage
        user = "*" if event.chance < 0.2 else USERS[int(event.chance * 97) % len(USERS)]
        machine = stage.machines[int(event.other * len(stage.machines))]
        word = YES if event.length < 2.5 else NO
        if event.chance * 10 % 1 < 0.6:
            body = {"user": user, "cap": word}
            users.ask("admin", f"/forbid/{ids.deployment_id(LAB, machine)}", body, self._answered)
            return
        number = stage.number()
        spec: Object = {"deployment": machine, "user": user, "capability": word, "ruleID": 1000 + number}
        stage.made(ACCESS_RULES, f"a-{number}", spec, "kubectl")

    def permit(self, users: Users, event: Event) -> None:
        """Take a rule away."""
        found = self.stage.cluster.store.all("accessrules", LAB)
        if not found:
            return
        rule = found[int(event.chance * len(found))]
        if event.other < 0.6:
            path = f"/permit/{ids.deployment_id(LAB, rule['spec']['deployment'])}.{rule['spec']['ruleID']}"
            users.ask("admin", path, {}, self._answered)
        else:
            self.stage.cluster.write("DELETE", ACCESS_RULES, rule["metadata"]["name"], sender="kubectl")

    def _answered(self, status: int, _: dict[str, Any]) -> None:
        if status == 200:
            for pair in self._since:
                self._told.setdefault(pair, self.stage.world.now)

    # ---- what must hold

    def _asked(self, request: Request) -> None:
        field = request.query.get("fieldSelector", "")
        if request.path.endswith("/accessrules") and field.startswith("spec.deployment="):
            self._read[request.sender, field.partition("=")[2]] = self.stage.world.now

    def _commit(self, commit: Commit) -> None:
        if commit.plural == "accessrules":
            self._rules_changed()
        elif commit.plural == "workspacedeployments" and commit.event == "MODIFIED" and commit.before is not None:
            lease, name = (commit.object.get("status") or {}).get("lease"), commit.object["metadata"]["name"]
            if lease is None:
                self._free.setdefault(name, self.stage.world.now)
            elif name in self._free and commit.request is not None:
                self._taken(commit.request.sender, name, lease, self._free.pop(name))

    def _rules_changed(self) -> None:
        rules, now = [obj["spec"] for obj in self.stage.cluster.store.all("accessrules", LAB)], self.stage.world.now
        for machine in self.stage.machines:
            for user in USERS:
                pair = user, machine
                own = {r["capability"] for r in rules if r["deployment"] == machine and r["user"] == user}
                every = {r["capability"] for r in rules if r["deployment"] == machine and r["user"] == "*"}
                if NO in (own or every):
                    self._since.setdefault(pair, now)
                elif self._since.pop(pair, None) is not None:
                    self._told.pop(pair, None)
                    self._permitted[user] = now

    def _taken(self, taker: str, machine: str, lease: Object, free: float) -> None:
        pair = lease["user"], machine
        since = self._since.get(pair)
        if since is None:
            return
        if taker.startswith("operator-"):
            read = self._read.get((taker, machine), -1.0)
            wrong = since < read or read < free
        else:
            asked_at = (UUID(lease["instance"]).int >> 80) / 1000 - BEGIN.timestamp()
            wrong = pair in self._told and self._told[pair] + SKEW_SECONDS < asked_at
        if wrong:
            who = taker.partition("-")[0]
            self.stage.cluster.violated(f"access: {who} lent a machine to somebody whom its rules forbid it")

    def _shut_out(self) -> set[str]:
        """Users who may not have some machine, or may again since a moment ago."""
        now = self.stage.world.now
        lately = {user for user, at in self._permitted.items() if now - at < SETTLED_SECONDS}
        return {user for user, _ in self._since} | lately

    # ---- the end

    def finish(self) -> None:
        for obj in self.stage.cluster.store.all("accessrules", LAB):
            self.stage.cluster.write("DELETE", ACCESS_RULES, obj["metadata"]["name"], sender="kubectl")
