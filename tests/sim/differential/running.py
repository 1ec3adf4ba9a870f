"""Sends a sequence of steps to both, finds the first difference, and shrinks a sequence that has one."""

import base64
import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from berth_core.kube.types import Object, selectors

from ..store import Gone, Store
from ..store.kinds import Resource, served, target
from ..store.reads import LATEST, position
from ..store.selectors import selected
from ..store.store import MERGE
from ..wire import Request, Response
from .bodies import schemas
from .compare import Bindings, Different, compare, compare_events
from .operations import NEAR, Names, Step, draw_kinds, draw_step, placed, request_of
from .real import FORGOTTEN, RealServer

NOW: Final = datetime(2026, 11, 26, tzinfo=UTC)
LENGTH: Final = 150
"""Steps of a sequence."""
END: Final = "berth.dev/end"
"""Annotation of the change that a watch is read to."""


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
        kinds = draw_kinds(draw)
        yield [draw_step(draw, kinds) for _ in range(LENGTH)]


class Chance(random.Random):
    """Draws for the fake what the real server drew: letters of a generated name, since lists go by it, and node ports.

    A port may come back to an object that had it before, so that whose is whose could not be told from the answers.
    """

    def __init__(self, seed: str) -> None:
        super().__init__(seed)
        self._drawn: list[Any] = []

    def choice(self, seq: Any) -> Any:
        return self._drawn.pop(0) if self._drawn else super().choice(seq)

    def hear(self, request: Request, real: Response, before: Object | None) -> None:
        """Take what the real server drew for a request; ``before`` is the object until then."""
        given, made = (request.body or {}).get("metadata") or {}, real.body.get("metadata") or {}
        stem = given.get("generateName") or ""
        draws = request.method == "POST" and real.status == 201 and stem and not given.get("name")
        held = set(_node_ports(before or {}))
        self._drawn = [*(made["name"].removeprefix(stem) if draws else "")]
        self._drawn += [port for port in _node_ports(real.body) if port not in held]


def _node_ports(obj: Object) -> list[int]:
    """Return a Service's node ports, in the order in which they are drawn."""
    spec = obj.get("spec") or {}
    ports = [port.get("nodePort") for port in spec.get("ports") or ()]
    return [port for port in (*ports, spec.get("healthCheckNodePort")) if port]


class Run:
    """One run of a sequence, in two namespaces of its own."""

    def __init__(self, real: RealServer, run: str) -> None:
        self._real, self._bound = real, Bindings()
        self._chance = Chance(run)
        self._fake = Store(now=lambda: NOW, random=self._chance)
        self._names = Names((f"{run}-0", f"{run}-1"), self._bound)
        self._tokens: dict[str, tuple[Step, str]] = {}
        self._ends = self._compacted = 0
        self._nodes: dict[str, None] = {}
        self.requests = 0
        self.compared: Counter[str] = Counter()
        """How many answers, by method and hundreds of the status, and how many watches (``watch``) were the same."""
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
        elif step.verb == "compact":
            self._compacted = max(self._compacted, int(self._names.earlier(step.back)))
            self._fake.compact(self._compacted)
        elif step.verb == "more":
            self._more(step)
        else:
            self._paged(step, request_of(step, self._fake, self._names))

    def _more(self, step: Step) -> None:
        """Read the next page of a list that was begun, at its version or, where that is forgotten, as things are."""
        if (begun := self._tokens.pop(step.plural, None)) is not None:
            listed, token = begun
            version, _ = position(token)
            if version != LATEST and version < self._compacted and served()[listed.plural].schema is None:
                return  # the real server may remember all that it ever had of Kubernetes' own kinds
            request = request_of(listed, self._fake, self._names)
            self._paged(listed, replace(request, query={**request.query, "continue": token}))

    def _paged(self, step: Step, request: Request) -> None:
        _, fake = self._both(request)
        if request.method == "GET" and (token := fake.body.get("metadata", {}).get("continue")):
            self._tokens[step.plural] = (step, token)

    def _both(self, request: Request) -> tuple[Response, Response]:
        self.requests += 1
        real = self._real.handle(self._translated(request))
        self.last = (request, real, None)
        at = target(request.path)
        known = at and at.name and self._fake.find(at.resource.plural, at.namespace, at.name)
        self._chance.hear(request, real, known or None)
        fake = self._fake.handle(request)
        self.last = (request, real, fake)
        if request.path == "/api/v1/nodes" and fake.status == 201:
            self._nodes[f"{request.path}/{real.body['metadata']['name']}"] = None
        plural = request.path.split("/")
        compare(real, fake, self._bound, _messages(next((p for p in plural if p in schemas()), "")))
        self.compared[f"{request.method} {fake.status // 100}"] += 1
        return real, fake

    def _translated(self, request: Request) -> Request:
        """Return a request with the real server's versions, uids and tokens."""
        query = dict(request.query)
        if "resourceVersion" in query:
            query["resourceVersion"] = self._bound.real_version(query["resourceVersion"])
        if "continue" in query:
            version, _ = position(query["continue"])
            real = self._bound.real_value(query["continue"])
            query["continue"] = real if version == LATEST or version >= self._compacted else too_old(real)
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
        if not space:
            labels["run"] = self._names.spaces[0]
        path = request_of(replace(step, verb="list", query={}), self._fake, self._names).path
        version = int(self._names.earlier(step.back))
        if version < self._compacted:
            self._gone(resource, path, version)
            return
        self._ends += 1
        made = ""
        if not self._touch(step.plural, space, path, selectors(labels, fields)):
            made = self._sentinel(step, labels, fields)
            if not made:
                return
        events = self._fake.since(step.plural, space, version, labels, fields)
        query = {"resourceVersion": self._bound.real_version(str(version)), **selectors(labels, fields)}
        real = []
        for event in self._real.watch(path, query):
            if event["type"] == "ERROR" and event["object"].get("code") == 410 and step.back >= NEAR:
                return  # the machine was slow, and the real server's cache is short: see README.md of the store
            if event["type"] == "ERROR":
                raise Different(f"the watch ended: {event}")
            real.append(event)
            if (event["object"]["metadata"].get("annotations") or {}).get(END) == str(self._ends):
                break
        compare_events(real, [{"type": event.type, "object": event.object} for event in events], self._bound)
        self.compared["watch"] += 1
        if made:
            options = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
            self._both(Request("DELETE", f"{path}/{made}", body=options))

    def _touch(self, plural: str, space: str | None, path: str, query: dict[str, str]) -> bool:
        """Change an object that the selectors choose, so that the watch tells it last; whether there is one."""
        matches = selected(served()[plural], query.get("labelSelector", ""), query.get("fieldSelector", ""))
        body = {"metadata": {"annotations": {END: str(self._ends)}}}
        for found in self._fake.all(plural, space):
            if matches is None or matches(found):
                one = Request("PATCH", f"{path}/{found['metadata']['name']}", {}, body, MERGE)
                if self._both(one)[1].status == 200:
                    return True
        return False

    def _sentinel(self, step: Step, labels: dict[str, str], fields: dict[str, str]) -> str:
        """Make an object that the selectors choose, for the same; its name, empty where that cannot be."""
        if fields and served()[step.plural].schema is None:
            return ""
        if any(path.startswith(("status", "metadata")) or not value for path, value in fields.items()):
            return ""
        body = draw_sentinel(step.plural, f"last-{self._ends}", self._ends)
        for path, value in fields.items():
            place = body
            for word in path.split(".")[:-1]:
                place = place.setdefault(word, {})
            place[path.split(".")[-1]] = value
        annotations = {END: str(self._ends)}
        body["metadata"] = {"labels": {k: v or "a" for k, v in labels.items()}, "annotations": annotations}
        create = Step("create", step.plural, step.space, f"last-{self._ends}", body)
        _, fake = self._both(request_of(create, self._fake, self._names))
        return str(fake.body["metadata"]["name"]) if fake.status == 201 else ""

    def _gone(self, resource: Resource, path: str, version: int) -> None:
        """Watch from a version that is forgotten; the real server remembers all of Kubernetes' own kinds."""
        try:
            self._fake.since(resource.plural, None, version)
        except Gone:
            if resource.schema is not None:
                first = next(iter(self._real.watch(path, {"resourceVersion": FORGOTTEN})))
                if (first["object"].get("code"), first["object"].get("reason")) != (410, "Expired"):
                    raise Different(f"a watch from a forgotten version: {first}") from None
            return
        raise Different(f"the fake remembers {version}, though it is to know none before {self._compacted}")


def too_old(token: str) -> str:
    """Return a continue token of the real server as it were had the list begun at a forgotten version."""
    content = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    return base64.urlsafe_b64encode(orjson.dumps(content | {"rv": int(FORGOTTEN)})).decode().rstrip("=")


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
