"""The fake store answers as a real API server does, and has every CEL rule of crds/."""

import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import pytest

from berth_dev.envtest.apiserver import ApiServer

from .differential.bodies import schemas
from .differential.operations import Step
from .differential.real import RealServer
from .differential.running import Run, sequences, shrunk
from .store.rules import RULES, normal

REQUESTS = int(os.environ.get("REQUESTS", "5000"))
SEED = int(os.environ.get("SEED") or 15)
"""The same in each `make test`, which tells whether the fake has changed; `make prove-store` takes new ones."""
CONNECTIONS = 4
"""Sequences at once: each waits for the server most of its time, and knows nothing of the others."""
FLOORS = {
    "GET 2": 0.06,
    "GET 4": 0.01,
    "POST 2": 0.05,
    "POST 4": 0.05,
    "PATCH 2": 0.08,
    "PATCH 4": 0.1,
    "DELETE 2": 0.01,
    "DELETE 4": 0.03,
    "watch": 0.01,
}
"""Least share of all requests, by method and hundreds of the status: else the answers compared show little."""


def rules(schema: dict[str, object]) -> Iterator[str]:
    """Yield the CEL rules of a schema."""
    for key, inner in schema.items():
        if key == "x-kubernetes-validations" and isinstance(inner, list):
            yield from (normal(rule["rule"]) for rule in inner)
        elif isinstance(inner, dict):
            yield from rules(inner)


def test_every_cel_rule_of_the_crds_has_a_predicate_and_no_predicate_is_left_over() -> None:
    known = {text for schema in schemas().values() for text in rules(schema)}
    assert known == set(RULES)


@pytest.mark.apiserver
@pytest.mark.timeout(7200)
def test_the_fake_store_answers_random_requests_as_a_real_api_server_does(apiserver: ApiServer) -> None:
    servers = [RealServer(apiserver.kubeconfig) for _ in range(CONNECTIONS)]
    began, run, drawn, count = time.monotonic(), f"d-{uuid.uuid4().hex[:6]}", enumerate(sequences(SEED)), 0
    compared: Counter[str] = Counter()

    def play(real: RealServer, numbered: tuple[int, list[Step]]) -> Run:
        number, steps = numbered
        trial = Run(real, f"{run}-{number}")
        difference = trial.play(steps)
        trial.tidy()
        if difference is not None:
            best = shrunk(real, difference, f"{run}-{number}")
            pytest.fail(f"SEED={SEED}, sequence {number}, shrunk: {best}")
        return trial

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        while count < REQUESTS:
            for trial in pool.map(play, servers, islice(drawn, CONNECTIONS)):
                count += trial.requests
                compared += trial.compared
    for real in servers:
        real.close()
    scarce = {what: compared[what] for what, share in FLOORS.items() if compared[what] < share * count}
    assert not scarce, f"too few of {count} requests: {scarce}"
    seconds = time.monotonic() - began
    sys.stderr.write(f"\nSEED={SEED}: {count} requests in {seconds:.0f} s, {count / seconds:.0f} a second\n")
