"""Sends a sequence of steps to both, finds the first difference, and shrinks a sequence that has one."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from berth_core.client import Object

from ..store import Gone, Store
from ..store.kinds import served
from ..store.store import MERGE
from ..wire import Request, Response
from .bodies import schemas
from .compare import Bindings, Different, compare, compare_events
from .operations import Names, Step, draw_step, placed, request_of
from .real import RealServer

NOW: Final = datetime(2026, 11, 26, tzinfo=UTC)
LENGTH: Final = 150
"""Steps of a sequence."""


@dataclass
class Difference:
    """Where two answers differed."""

    steps: list[Step]
    step: int
    what: str
    request: Request | None
    answers: tuple[Response | None, Response | None]

    def __str__(self) -> str:
        lines = [f"after {self.step} steps: {self.what}"]
        lines += [f"  {number}: {step}" for number, step in enumerate(self.steps[: self.step + 1])]
        lines.append(f"request: {self.request}")
        for who, answer in zip(("real", "fake"), self.answers, strict=True):
            lines.append(f"{who}: {None if answer is None else (answer.status, json.dumps(answer.body))}")
        return "\n".join(lines)


def sequences(seed: int) -> Iterator[list[Step]]:
    """Yield random sequences, the same for the same seed."""
    draw = random.Random(seed)
    while True:
        yield [draw_step(draw) for _ in range(LENGTH)]


class Chance(random.Random):
    """Draws for the fake; the letters of a generated name are those that the real server drew, since lists go by it."""

    letters = ""

    def choice(self, seq: Any) -> Any:
        if not self.letters:
            return super().choice(seq)
        first, self.letters = self.letters[0], self.letters[1:]
        return first

    def hear(self, request: Request, real: Response) -> None:
        """Take what the real server drew for a request."""
        given, made = (request.body or {}).get("metadata") or {}, real.body.get("metadata") or {}
        stem = given.get("generateName") or ""
        draws = request.method == "POST" and real.status == 201 and stem and not given.get("name")
        self.letters = made["name"].removeprefix(stem) if draws else ""


class Run:
    """One run of a sequence, in two namespaces of its own."""

    def __init__(self, real: RealServer, run: str) -> None:
        self._real, self._bound = real, Bindings()
        self._chance = Chance(run)
        self._fake = Store(now=lambda: NOW, random=self._chance)
        self._names = Names((f"{run}-0", f"{run}-1"), self._bound)
        self._tokens: dict[str, tuple[Step, str]] = {}
        self._sentinels = 0
        self._nodes: dict[str, None] = {}
        self.requests = 0
        self.last: tuple[Request | None, Response | None, Response | None] = (None, None, None)
        for name in self._names.spaces:
            body: Object = {"metadata": {"name": name, "labels": {"run": self._names.spaces[0]}}}
            self._both(Request("POST", "/api/v1/namespaces", {}, body))
            account = {"metadata": {"name": "default"}}
            real.handle(Request("POST", f"/api/v1/namespaces/{name}/serviceaccounts", {}, account))

    def play(self, steps: Sequence[Step]) -> Difference | None:
        """Return the first difference."""
        for number, step in enumerate(steps):
            self.last = (None, None, None)
            try:
                self._play(step)
            except Different as different:
                return Difference(list(steps), number, str(different), self.last[0], self.last[1:])
        return None

    def tidy(self) -> None:
        """Take away what other runs would meet: Nodes, and Services with their ports."""
        for space in self._names.spaces:
            services = f"/api/v1/namespaces/{space}/services"
            for item in self._real.handle(Request("GET", services)).body["items"]:
                self._remove(f"{services}/{item['metadata']['name']}")
        for node in self._nodes:
            self._remove(node)

    def _remove(self, path: str) -> None:
        self._real.handle(Request("PATCH", path, {}, {"metadata": {"finalizers": None}}, MERGE))
        self._real.handle(Request("DELETE", path))

    def _play(self, step: Step) -> None:
        if step.verb == "watch":
            self._watch(step)
        elif step.verb == "gone":
            self._gone(step)
        elif step.verb == "more":
            self._more(step)
        else:
            _, fake = self._both(request_of(step, self._fake, self._names))
            if step.verb == "list" and (token := fake.body.get("metadata", {}).get("continue")):
                self._tokens[step.plural] = (step, token)

    def _more(self, step: Step) -> None:
        """Read the next page of a list that was begun."""
        begun, token = self._tokens.pop(step.plural, (step, ""))
        if not token:
            return
        request = request_of(begun, self._fake, self._names)
        self._both(replace(request, query={**request.query, "continue": token}))

    def _both(self, request: Request) -> tuple[Response, Response]:
        self.requests += 1
        real = self._real.handle(self._translated(request))
        self.last = (request, real, None)
        self._chance.hear(request, real)
        fake = self._fake.handle(request)
        self.last = (request, real, fake)
        if request.path == "/api/v1/nodes" and fake.status == 201:
            self._nodes[f"{request.path}/{real.body['metadata']['name']}"] = None
        plural = request.path.split("/")
        compare(real, fake, self._bound, _messages(next((p for p in plural if p in schemas()), "")))
        return real, fake

    def _translated(self, request: Request) -> Request:
        """Return a request with the real server's versions, uids and tokens."""
        query = dict(request.query)
        if "resourceVersion" in query:
            query["resourceVersion"] = self._bound.real_version(query["resourceVersion"])
        if "continue" in query:
            query["continue"] = self._bound.real_value(query["continue"])
        body = dict(request.body) if request.body is not None else None
        for place in ("metadata", "preconditions"):
            if body is not None and place in body:
                body[place] = self._conditions(dict(body[place]))
        return replace(request, query=query, body=body)

    def _conditions(self, given: Object) -> Object:
        if "resourceVersion" in given:
            given["resourceVersion"] = self._bound.real_version(given["resourceVersion"])
        if "uid" in given:
            given["uid"] = self._bound.real_value(given["uid"])
        return given

    def _watch(self, step: Step) -> None:
        """Watch from some commits ago to a last object that is made so that the watch shows it."""
        resource = served()[step.plural]
        space, _ = placed(resource, step, self._names)
        labels = {key[6:]: value for key, value in step.query.items() if key.startswith("label ")}
        fields = {key[6:]: value for key, value in step.query.items() if key.startswith("field ")}
        version = self._names.versions[max(0, len(self._names.versions) - max(1, step.back))]
        if not space:
            labels["run"] = self._names.spaces[0]
        last = self._sentinel(step, labels, fields)
        if last is None:
            return
        events = self._fake.since(step.plural, space, int(version), labels, fields)
        query = {
            "resourceVersion": self._bound.real_version(version),
            "labelSelector": ",".join(f"{k}={v}" if v else k for k, v in labels.items()),
            "fieldSelector": ",".join(f"{k}={v}" for k, v in fields.items()),
        }
        real = []
        path = request_of(replace(step, verb="list", query={}), self._fake, self._names).path
        for event in self._real.watch(path, query):
            if event["type"] == "ERROR":
                raise Different(f"the watch ended: {event}")
            real.append(event)
            if event["object"]["metadata"]["name"] == last:
                break
        compare_events(real, [{"type": event.type, "object": event.object} for event in events], self._bound)
        self._both(
            Request("DELETE", f"{path}/{last}", body={"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
        )

    def _sentinel(self, step: Step, labels: dict[str, str], fields: dict[str, str]) -> str | None:
        """Make an object that a watch's selectors choose; its name, None where that cannot be."""
        self._sentinels += 1
        name = f"last-{self._sentinels}"
        if fields and served()[step.plural].schema is None:
            return None
        if any(path.startswith(("status", "metadata")) or not value for path, value in fields.items()):
            return None
        made = draw_sentinel(step.plural, name, self._sentinels)
        for path, value in fields.items():
            place = made
            for word in path.split(".")[:-1]:
                place = place.setdefault(word, {})
            place[path.split(".")[-1]] = value
        made["metadata"] = {"labels": {key: value or "a" for key, value in labels.items()}}
        request = request_of(Step("create", step.plural, step.space, name, made), self._fake, self._names)
        _, fake = self._both(request)
        if fake.status != 201:
            return None
        return str(fake.body["metadata"]["name"])

    def _gone(self, step: Step) -> None:
        """Watch from before what is remembered; of Kubernetes' own kinds everything is, since the server began."""
        if served()[step.plural].schema is None:
            return
        request = request_of(replace(step, verb="list", query={}), self._fake, self._names)
        first = next(iter(self._real.watch(request.path, {"resourceVersion": "1"})))
        real = first["object"] if first["type"] == "ERROR" else {}
        old = Store(now=lambda: NOW, random=random.Random(0))
        old.handle(Request("POST", "/api/v1/namespaces", {}, {"metadata": {"name": "a"}}))
        old.compact(old.version)
        try:
            old.since(step.plural, None, 1)
        except Gone:
            if (real.get("code"), real.get("reason")) != (410, "Expired"):
                raise Different(f"a watch from a compacted version: {first}") from None
            return
        raise Different("the fake knows more than it remembers")


def draw_sentinel(plural: str, name: str, number: int) -> Object:
    """Return a valid body."""
    from . import bodies, core_bodies

    draw = random.Random(number)
    if served()[plural].schema is None:
        return core_bodies.MAKERS[plural](draw)
    made = bodies.minimal(plural, draw)
    if plural == "issuedtokens":
        made["sha256"] = name
    return {"spec": made}


def _messages(plural: str) -> list[str]:
    found: list[str] = []

    def walk(schema: dict[str, Any]) -> None:
        found.extend(rule["message"] for rule in schema.get("x-kubernetes-validations") or ())
        for inner in (schema.get("properties") or {}).values():
            walk(inner)
        if isinstance(schema.get("items"), dict):
            walk(schema["items"])

    if plural:
        walk(schemas()[plural])
    return found


def shrunk(real: RealServer, difference: Difference, run: str, tries: int = 400) -> Difference:
    """Return the difference with as few steps as were found."""
    best, size = difference, max(1, difference.step // 2)
    best.steps = best.steps[: best.step + 1]
    while size and tries:
        index = 0
        while index < len(best.steps) and tries:
            steps = best.steps[:index] + best.steps[index + size :]
            tries -= 1
            trial = Run(real, f"{run}-s{tries}")
            found = trial.play(steps)
            trial.tidy()
            if found is not None:
                best = found
                best.steps = best.steps[: best.step + 1]
            else:
                index += size
        size //= 2
    return best
