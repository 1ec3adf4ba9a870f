"""When a request is a repeat of another, and what comes of that."""

from typing import cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from berth_api.auth.identity import Identity
from berth_api.idempotency import replay
from berth_api.idempotency.making import create
from berth_api.idempotency.replay import DEAD_SECONDS, Answer, Phase, Record, Run, Step, judge
from berth_api.ratelimit.allowance import KEPT_SECONDS
from berth_core import names
from berth_core.kube.client import Client
from berth_core.kube.clock import StoreClock
from berth_core.kube.types import Object
from berth_core.resources import Instance

ALICE = Identity(user="alice", digest="0" * 64, expires=2e9)
ANSWER = Answer(200, (), b"{}")


def record(phase: Phase, started: float = 1000.0) -> Record:
    return Record("same", phase, started, started + KEPT_SECONDS, ANSWER if phase is Phase.ANSWERED else None)


@pytest.mark.parametrize(
    ("phase", "seconds", "step"),
    [
        (Phase.STARTED, 0, Step.WAIT),
        (Phase.STARTED, -5, Step.WAIT),
        (Phase.STARTED, DEAD_SECONDS - 0.1, Step.WAIT),
        (Phase.STARTED, DEAD_SECONDS, Step.TAKE_OVER),
        (Phase.UNSURE, 1, Step.LOOK),
        (Phase.UNSURE, DEAD_SECONDS, Step.TAKE_OVER),
        (Phase.ANSWERED, 0, Step.REPLAY),
        (Phase.ANSWERED, KEPT_SECONDS - 1, Step.REPLAY),
        (Phase.ANSWERED, KEPT_SECONDS, Step.REPLACE),
        (Phase.STARTED, KEPT_SECONDS, Step.REPLACE),
    ],
)
def test_a_record_says_what_a_repeat_does(phase: Phase, seconds: float, step: Step) -> None:
    assert judge(record(phase), "same", 1000.0 + seconds) is step


@pytest.mark.parametrize("phase", Phase)
def test_another_request_is_refused_until_the_record_expires(phase: Phase) -> None:
    assert judge(record(phase), "other", 1000.0 + DEAD_SECONDS * 2) is Step.REFUSE
    assert judge(record(phase), "other", 1000.0 + KEPT_SECONDS) is Step.REPLACE


@pytest.mark.parametrize("status", [200, 400, 403, 404, 413, 422])
def test_answers_about_the_request_are_kept(status: int) -> None:
    assert Answer(status).is_kept


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 503])
def test_answers_about_the_moment_are_not_kept(status: int) -> None:
    assert not Answer(status).is_kept


@given(st.text(max_size=300))
def test_keys_are_printable_ascii_of_some_length(text: str) -> None:
    fits = 1 <= len(text) <= 255 and all(" " <= c <= "~" for c in text)
    assert replay.is_key(text) is fits


@pytest.mark.parametrize("sent", [b"one", b" one", b"one\t", b"\t one \t"])
def test_blanks_around_a_key_are_no_part_of_it(sent: bytes) -> None:
    assert replay.values_of([(b"host", b"x"), (replay.HEADER, sent)]) == ["one"]


@pytest.mark.parametrize("sent", [b"\xa0one", b"one\x85", b"one\x1f", b"", b" ", b"one\tone"])
def test_anything_else_around_a_key_makes_it_none(sent: bytes) -> None:
    (value,) = replay.values_of([(replay.HEADER, sent)])
    assert not replay.is_key(value)


def test_a_users_key_is_nobody_elses() -> None:
    assert replay.digest_of("alice", "k") != replay.digest_of("bob", "k")
    assert replay.digest_of("a", "lice k") != replay.digest_of("alice", "k")
    assert len(replay.digest_of("alice", "k")) == 40


@pytest.mark.parametrize(
    "other",
    [
        ("POST", "/new/b", b"", b"{}", ALICE),
        ("POST", "/new/a", b"x", b"{}", ALICE),
        ("POST", "/new/a", b"", b"{ }", ALICE),
        ("POST", "/new/a", b"", b"{}", Identity(user="alice", digest="0" * 64, expires=2e9, read_only=True)),
        ("POST", "/new/a", b"", b"{}", Identity(user="alice", digest="0" * 64, expires=2e9, types=frozenset())),
        ("POST", "/new/a", b"", b"{}", Identity(user="alice", digest="0" * 64, expires=2e9, instance="i")),
    ],
)
def test_what_is_asked_and_with_which_rights_makes_a_request(other: tuple[str, str, bytes, bytes, Identity]) -> None:
    first = replay.fingerprint_of("POST", "/new/a", b"", b"{}", ALICE, key="k")
    renewed = Identity(user="alice", digest="1" * 64, expires=3e9)
    assert replay.fingerprint_of("POST", "/new/a", b"", b"{}", renewed, key="k") == first
    assert replay.fingerprint_of(*other, key="k") != first


class Cluster:
    """Keeps what is created."""

    def __init__(self) -> None:
        self.made: list[Object] = []

    async def create(self, _kind: object, _namespace: str, body: Object) -> Object:
        self.made.append(body)
        return body


async def made(client: Cluster) -> Object:
    body = {"metadata": {"namespace": "lab", "name": "x", "labels": {"a": "b"}}}
    return await create(cast(Client, client), Instance, body)


async def test_an_object_carries_the_key_of_its_request_while_it_may_make_things() -> None:
    client = Cluster()
    assert (await made(client))["metadata"]["labels"] == {"a": "b"}
    assert replay.current() is None
    at = 1e9
    clock = StoreClock(lambda: at, lambda: at)
    clock.saw(at, "Sun, 09 Sep 2001 01:46:40 GMT", at)
    run = Run("d" * 40, at, clock)
    token = replay.running.set(run)
    try:
        assert replay.current() == "d" * 40
        assert not run.has_begun_to_make
        assert (await made(client))["metadata"]["labels"] == {"a": "b", names.IDEMPOTENCY_LABEL: "d" * 40}
        assert run.has_begun_to_make
        at += replay.MAKING_SECONDS - 1.1
        await made(client)
        at += 0.2  # the store's time may be a second later than the least that it is
        with pytest.raises(replay.TooLateError):
            await made(client)
        run.clock = StoreClock()
        with pytest.raises(replay.TooLateError):
            await made(client)  # no time is known
        assert len(client.made) == 3
    finally:
        replay.running.reset(token)


async def test_a_request_with_a_key_makes_nothing_before_it_has_a_record() -> None:
    client = Cluster()
    token = replay.running.set(Run("d" * 40, None, StoreClock()))
    try:
        with pytest.raises(RuntimeError, match="looks something up"):
            await made(client)
        assert client.made == []
    finally:
        replay.running.reset(token)


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=5000), max_size=4), st.integers(400, 499))
def test_of_a_refusal_status_and_text_are_kept_and_no_more_than_a_kilobyte(fields: dict[str, str], status: int) -> None:
    body = orjson.dumps(fields)
    headers = ((b"content-type", b"application/json"), (b"retry-after", b"9"))
    kept = replay.shortened(Answer(status, headers, body))
    assert (kept.status, kept.headers) == (status, headers[:1])
    assert len(kept.body) <= replay.LARGEST_REFUSAL
    assert orjson.loads(kept.body).keys() == fields.keys()
    assert kept.body == body or len(body) > replay.LARGEST_REFUSAL


def test_nobody_can_try_bodies_on_a_fingerprint_without_the_key() -> None:
    asked = ("POST", "/purge", b"", b'{"user": "alice", "password": "a common one"}', ALICE)
    assert replay.fingerprint_of(*asked, key="one") != replay.fingerprint_of(*asked, key="two")


def test_private_keys_are_left_out_of_what_is_kept() -> None:
    given = Answer(200, (), b'{"success":true,"id":"i","sshkey":"PEM"}')
    kept = replay.without_key(given)
    assert kept == Answer(200, (), b'{"success":true,"id":"i"}', "i")
    assert replay.with_key(kept, "PEM") == given


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"success":true,"id":"i"}'])
def test_other_answers_are_kept_as_they_are(body: bytes) -> None:
    assert replay.without_key(Answer(200, (), body)) == Answer(200, (), body)
