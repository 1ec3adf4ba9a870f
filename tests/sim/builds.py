"""Builds: people ask for them, run them again, give them up and delete them; and what must hold of them.

Their machines are leased like any other, so all rules of leases count for them as well.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from berth_core import builds, names
from berth_core.ids import instance_id
from berth_core.kube import conditions
from berth_core.kube.types import Object
from berth_core.resources import Build, Instance
from berth_core.state import READY
from berth_operator.kinds import BUILDS, PROJECTS
from berth_operator.settings.config import CiSettings

from .cluster import LAB
from .jobs import BuildPods
from .oracle import SWEPT_SECONDS
from .part import Part
from .plan import USERS, Event
from .stage import Stage
from .users import Users
from .wire import Commit

SETTINGS: Final = CiSettings("ci:1", concurrent=3, per_user=2)
STANDS_SECONDS: Final = 40.0
"""After so long without any change a build does not go on by itself."""
TURN_SECONDS: Final = 10.0
"""After a change of another build its turn comes within this."""
CLEARED_SECONDS: Final = 50.0
"""After so long nothing of a build that has ended is left."""


@dataclass
class Known:
    """The last that was seen of a build."""

    changed: float
    ended: float = 0.0
    """When its last attempt had ended; 0 while it has not."""
    late: float = 0.0
    """When something of it was made after that."""


class Builds(Part):
    """All builds of a history."""

    OPERATOR: ClassVar[Mapping[str, Any]] = {"ci": SETTINGS}

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage)
        self.pods = BuildPods(stage.cluster, stage.nodes)
        stage.add_node("")
        self._known: dict[str, Known] = {}
        self._told: dict[str, str] = {}
        """Projects of the builds (public ids) of which clients were told."""
        self._deleted: set[str] = set()
        """Names of what somebody has deleted, perhaps before a client was told of it."""
        self._makers: dict[str, str] = {}
        """Name of the maker of each Instance, by uid."""
        self._by_key: dict[str, str] = {}
        for user in USERS:
            spec = {"name": f"p-{user}", "user": user, "repoURL": "https://git.example/a"}
            stage.made(PROJECTS, f"p-{user}", spec)
        stage.cluster.store.listeners.append(self._commit)

    # ---- what people do

    def build(self, users: Users, event: Event) -> None:
        """Ask for a build over HTTP, or with kubectl."""
        stage, project = self.stage, f"p-{event.user}"
        if event.other < 0.5:
            spec = {"project": project, "user": event.user, "branch": "main"}
            stage.made(BUILDS, f"b-{stage.number()}", spec, "kubectl")
            return

        def answered(status: int, answer: dict[str, Any]) -> None:
            if status == 200 and answer["jid"] not in self._deleted:
                self._told[answer["jid"]] = project
                if stage.cluster.store.find("builds", LAB, answer["jid"]) is None:
                    stage.cluster.violated("builds: a client was told of a build that is not there")

        users.ask(event.user, f"/build/{project}", {}, answered, f"key-{stage.number()}")

    def build_cancel(self, users: Users, event: Event) -> None:
        """Give a build up."""
        for obj in self._one(event, lambda build: not builds.has_ended(build)):
            self._change(users, event, obj, "cancel", {"cancel": obj["spec"]["attempt"]})

    def build_again(self, users: Users, event: Event) -> None:
        """Run a build again; with kubectl that may be done before it has ended."""
        for obj in self._one(event, lambda build: builds.has_ended(build) or event.other < 0.2):
            self._change(users, event, obj, "restart", {"attempt": obj["spec"]["attempt"] + 1})

    def build_delete(self, _: Users, event: Event) -> None:
        """Delete a build."""
        for obj in self._one(event, lambda _: True):
            name = obj["metadata"]["name"]
            self._told.pop(name, None)
            self._deleted.add(name)
            self.stage.cluster.write("DELETE", BUILDS, name, sender="kubectl")

    def _change(self, users: Users, event: Event, obj: Object, word: str, spec: Object) -> None:
        name = obj["metadata"]["name"]
        if name in self._told and event.other > 0.4:
            path = f"/change/{obj['spec']['project']}.{name}.{word}"
            users.ask(obj["spec"]["user"], path, {}, lambda *_: None)
        else:
            self.stage.cluster.write("PATCH", BUILDS, name, body={"spec": spec}, sender="kubectl")

    def _one(self, event: Event, fits: Any) -> list[Object]:
        """One of the user's builds that fits, chosen by chance; none where there is none."""
        found = [obj for obj in self._all() if obj["spec"]["user"] == event.user and fits(Build.parse(obj))]
        return [found[int(event.chance * len(found))]] if found else []

    def _all(self) -> list[Object]:
        return self.stage.cluster.store.all("builds", LAB)

    # ---- what must hold at each commit

    def _commit(self, commit: Commit) -> None:
        metadata = commit.object["metadata"]
        if commit.plural == "builds":
            self._build(commit, instance_id(metadata["name"], metadata["uid"]))
            return
        build = (metadata.get("labels") or {}).get(names.BUILD_LABEL)
        if build is None:
            return
        if known := self._known.get(build):
            known.changed = self.stage.world.now
            if known.ended and commit.event == "ADDED":
                known.late = known.changed
        if commit.event == "ADDED" and commit.plural == "instances":
            self._makers[metadata["uid"]] = commit.request.sender if commit.request is not None else ""
        if commit.event == "ADDED" and commit.plural == "jobs":
            self._job(commit.object)

    def _build(self, commit: Commit, public_id: str) -> None:
        violated, now = self.stage.cluster.violated, self.stage.world.now
        if commit.event == "DELETED":
            self._known.pop(public_id, None)
            return
        known = self._known.setdefault(public_id, Known(now))
        known.changed = now
        after, before = commit.object.get("status") or {}, (commit.before or {}).get("status") or {}
        if key := (commit.object["metadata"].get("labels") or {}).get(names.IDEMPOTENCY_LABEL):
            if self._by_key.setdefault(key, public_id) != public_id:
                violated("idempotency: one key made two builds")
        known.ended = (known.ended or now) if builds.has_ended(Build.parse(commit.object)) else 0.0
        attempt, earlier = after.get("attempt") or 0, before.get("attempt") or 0
        if attempt < earlier:
            violated("builds: an attempt came back")
        same = before if attempt == earlier else {}
        for field in ("reason", "exitCode", "endTime", "commit", "instance"):
            if same.get(field) is not None and same[field] != after.get(field):
                violated(f"builds: the {field} of an attempt was written twice")
        if after.get("reason") and not same.get("reason"):
            self._verdict(public_id, attempt, after)
        if after.get("endTime") and not same.get("endTime"):
            self._ended(public_id, commit.request.sender if commit.request is not None else "")

    def _verdict(self, public_id: str, attempt: int, status: Object) -> None:
        """A verdict is what became of the script in truth."""
        script = self.pods.scripts.get((public_id, attempt))
        code = script.code if script is not None else None
        reason, said = status["reason"], status.get("exitCode")
        if said != code if reason in (builds.PASSED, builds.SCRIPT_FAILED) else said is not None:
            self.stage.cluster.violated(f"builds: {reason} was written of a script that ended otherwise")

    def _ended(self, public_id: str, giver: str) -> None:
        """One that ends has asked its machine back, but for what another leader made late."""
        for obj in self._of("instances", public_id):
            kept = not obj["spec"].get("terminate") and not (obj.get("status") or {}).get("endTime")
            if (
                kept
                and not obj["metadata"].get("deletionTimestamp")
                and self._makers.get(obj["metadata"]["uid"]) == giver
            ):
                self.stage.cluster.violated("builds: one has ended and its machine was not asked back")

    def _job(self, job: Object) -> None:
        """A script that has a machine is started when that was ready."""
        labels = job["metadata"]["labels"]
        if labels[names.STEP_LABEL] != names.RUN_STEP:
            return
        name = names.build_object(labels[names.BUILD_LABEL], int(labels[names.ATTEMPT_LABEL]))
        found = self.stage.cluster.store.find("instances", LAB, name)
        if found is not None and not (found.get("status") or {}).get("readyTime"):
            self.stage.cluster.violated("builds: a script was started before its machine was ready")

    def _of(self, plural: str, public_id: str) -> Iterable[Object]:
        label = names.BUILD_LABEL
        found = self.stage.cluster.store.all(plural, LAB)
        return [obj for obj in found if (obj["metadata"].get("labels") or {}).get(label) == public_id]

    # ---- what must hold when all is quiet

    def at_peace(self) -> None:
        now, violated = self.stage.world.now, self.stage.cluster.violated
        parsed = {build.public_id: build for build in map(Build.parse, self._all())}
        quiet = now - max((self._known[public_id].changed for public_id in parsed), default=0.0) > TURN_SECONDS
        for public_id, project in self._told.items():
            if public_id not in parsed:
                violated(f"I8: a build of {project} that a client was told of is not there")
        for public_id, build in parsed.items():
            known = self._known[public_id]
            if known.ended:
                if now - known.ended > CLEARED_SECONDS and now - known.late > SWEPT_SECONDS:
                    self._is_cleared(public_id)
            elif quiet and now - known.changed > STANDS_SECONDS and not self._may_stand(build, parsed.values()):
                violated("I4: a build does not go on though all is quiet")
                self.stage.cluster.say("ORACLE", "stands", build.metadata.name, str(build.status.conditions))

    def _is_cleared(self, public_id: str) -> None:
        for plural in ("pods", "jobs", "secrets", "networkpolicies"):
            if self._of(plural, public_id):
                self.stage.cluster.violated(f"I5: {plural} of a build that has ended are left")

    def _may_stand(self, build: Build, every: Iterable[Build]) -> bool:
        """Whether a build waits for its turn, for a machine, or for a script that takes its time."""
        script = self.pods.scripts.get((build.public_id, build.status.attempt or 1))
        if script is not None:
            return script.code is None and (not script.outside or self._machine_is_silent(build))
        others = [other for other in every if other.metadata.uid != build.metadata.uid]
        running = [other for other in others if builds.has_place(other)]
        mine = [other for other in others if other.spec.user == build.spec.user]
        if build.status.start_time is None:
            full = len(running) >= SETTINGS.concurrent
            return full or sum(builds.has_place(other) for other in mine) >= SETTINGS.per_user
        if not builds.waits_for_machine(build):
            return self._machine_starts(build)
        return build.status.instance is not None or sum(map(builds.waits_for_machine, mine)) >= SETTINGS.per_user

    def _machine_starts(self, build: Build) -> bool:
        """Whether it has a machine that was never ready, whatever that waits for: a quarantine, a node."""
        found = self._machine(build)
        return found is not None and not found.status.ready_time

    def _machine_is_silent(self, build: Build) -> bool:
        """Whether it has a machine that is not ready, any more perhaps: that lets nobody in until it speaks."""
        found = self._machine(build)
        return found is not None and not conditions.is_true(found.status.conditions, READY)

    def _machine(self, build: Build) -> Instance | None:
        name = names.build_object(build.public_id, build.status.attempt or 1)
        found = self.stage.cluster.store.find("instances", LAB, name)
        return Instance.parse(found) if found is not None else None

    # ---- the end

    def finish(self) -> None:
        for obj in self._all():
            attempt = obj["spec"]["attempt"]
            if not builds.has_ended(Build.parse(obj)) and obj["spec"].get("cancel") != attempt:
                body = {"spec": {"cancel": attempt}}
                self.stage.cluster.write("PATCH", BUILDS, obj["metadata"]["name"], body=body, sender="kubectl")

    def is_over(self) -> bool:
        return all(builds.has_ended(Build.parse(obj)) for obj in self._all())

    def at_the_end(self) -> None:
        if not self.is_over():
            self.stage.cluster.violated("I4: a build has not ended at the end")
        if any(pod.build is not None for pod in self.stage.nodes.running.values()):
            self.stage.cluster.violated("I5: a pod of a build runs at the end")
        known = {build.public_id for build in map(Build.parse, self._all())}
        for obj in self.stage.cluster.store.all("configmaps", LAB):
            build = (obj["metadata"].get("labels") or {}).get(names.BUILD_LABEL)
            if build is not None and build not in known:
                self.stage.cluster.violated("I5: logs or artifacts of a deleted build are left")
