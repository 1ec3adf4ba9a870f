"""Texts for people about the API's refusals, types, times and queues."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from berth_cli.ui.errors import BUSY, FAILED, FORBIDDEN, NOT_FOUND, UNREACHABLE, USAGE, CliError
from berth_cli.user import catalogue, session, times
from berth_cli.user.client import refusal
from berth_cli.user.contexts import Place
from berth_cli.user.instances import waiting
from berth_cli.user.instances.request import Keys, Wish, request

PLACE = Place("https://lab.example.test", "secret-token", "lab")
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "body", "code", "says"),
    [
        (400, '{"error_message": "wrong authorization token"}', FORBIDDEN, "wrong, expired or revoked"),
        (400, '{"error_message": "instance not active"}', FAILED, "instance not active"),
        (403, '{"error": "no"}', FORBIDDEN, "no"),
        (404, '{"error_message": "instance not found"}', NOT_FOUND, "not found: `berth list` shows yours"),
        (429, '{"error_message": "rate limit"}', BUSY, "in 7 s"),
        (503, '{"result_message": "All matching workspace deployments are busy."}', BUSY, "busy"),
        (503, '{"error_message": "the cluster is out of reach"}', UNREACHABLE, "repeat it"),
        (500, '{"error_message": "internal error", "request_id": "r-1"}', FAILED, "request r-1"),
        (502, "<html>", UNREACHABLE, "status 502"),
        (302, "", UNREACHABLE, "points to https://else.example.test"),
        (418, "[]", FAILED, "status 418"),
    ],
)
def test_a_refusal_says_what_to_do_and_how_to_exit(status: int, body: str, code: int, says: str) -> None:
    headers = {"Retry-After": "7", "Location": "https://else.example.test"}
    refused = refusal(status, headers, body.encode(), PLACE)
    assert (refused.code, refused.status) == (code, status)
    assert says in refused.message
    assert "secret-token" not in refused.message


def test_a_request_has_what_was_asked_for() -> None:
    assert request(Wish(("misty",)), None) == ("/new/misty", {})
    repo = "https://git.example.test/arm.git"
    assert request(Wish(("misty",), repo=repo), None)[1] == {"repo": {"url": repo}}
    assert request(Wish(("misty",), repo=repo, repo_path="x"), None)[1] == {"repo": {"url": repo, "path": "x"}}
    some = ("0d8f6a3e-1b1c-4f7e-9a55-0f6f3c1d7b42", "5b3f1a57-0a53-4c39-9d8e-8c1f6d2b7e10")
    wish = Wish(some, seconds=60, vpn=True, reserve=True, notify="https://me.example.test")
    path, body = request(wish, Keys("ssh-ed25519 AAAA", Path("id")))
    assert path == "/new"
    assert body == {
        "sshkey": "ssh-ed25519 AAAA",
        "expire_d": 60,
        "eurl": "https://me.example.test",
        "vpn": True,
        "reserve": True,
        "wds": list(some),
    }
    assert request(Wish(some[:1]), None)[0] == f"/new/{some[0]}"


@pytest.mark.parametrize("targets", [("misty-1",), ("a/b",), ("",), ("misty", "arm")])
def test_what_can_be_no_type_and_no_id_is_not_asked_for(targets: tuple[str, ...]) -> None:
    with pytest.raises(CliError, match="id") as refused:
        request(Wish(targets), None)
    assert refused.value.code == USAGE


def test_types_count_their_deployments() -> None:
    def info(kind: str, region: str, queuelen: int, online: bool = True) -> dict[str, Any]:
        return {"type": kind, "region": region, "queuelen": queuelen, "online": online}

    infos = [info("arm", "b", 3), info("arm", "a", 0), info("arm", "a", 0, online=False)]
    assert catalogue.summaries(["arm", "misty"], infos) == [
        {"type": "arm", "deployments": 3, "free": 1, "regions": ["a", "b"], "queuelen": 0},
        {"type": "misty", "deployments": 0, "free": 0, "regions": [], "queuelen": None},
    ]


THERE = [
    {"id": "01a210b5-b5b5-7955-85d3-691d89e60bba", "type": "misty", "status": "READY", "deployment": "d-1"},
    {"id": "01a210b5-9120-7a31-8f4b-ed84e7c76067", "type": "arm", "status": "INIT", "deployment": "d-2"},
]


@pytest.mark.parametrize("word", ["01a210b5-b", "0bba", "misty", "d-1"])
def test_an_instance_is_known_by_some_digits_its_type_or_its_deployment(word: str) -> None:
    assert session.instance_id(THERE, word) == THERE[0]["id"]


@pytest.mark.parametrize(
    ("there", "word", "code"), [(THERE, None, FAILED), (THERE, "01a2", FAILED), (THERE, "ba", NOT_FOUND), ([], None, 4)]
)
def test_what_is_not_clear_is_not_guessed(there: list[dict[str, Any]], word: str | None, code: int) -> None:
    with pytest.raises(CliError) as raised:
        session.instance_id(there, word)
    assert raised.value.code == code
    assert all(one["id"] in raised.value.message for one in there)


def test_steps_are_those_that_the_instance_has() -> None:
    started = {"status": "INIT", "progress": {"bound": True, "pod": False, "network": False, "vpn": False}}
    assert waiting.line(waiting.steps(started, queued=True)) == "queue ✓  machine ✓  pod …  network  vpn  ready"
    hooked = {"status": "INIT", "progress": {"bound": True, "prepared": True, "pod": True, "network": False}}
    assert waiting.line(waiting.steps(hooked, queued=False)) == "machine ✓  prepared ✓  pod ✓  network …  ready"
    assert waiting.line(waiting.steps({"status": "READY"}, queued=False)) == "ready ✓"


def test_looks_grow_apart_and_an_hour_costs_few_requests() -> None:
    for longest, most in ((waiting.INSTANCE_LOOK, 1820), (waiting.QUEUE_LOOK, 380)):
        spent, count = 0.0, 0
        for pause in waiting.looks(longest):
            spent, count = spent + pause, count + 1
            assert pause <= longest
            if spent > 3600:
                break
        assert count < most


def test_times_are_told_by_their_largest_units() -> None:
    assert times.ago("2026-05-01T11:58:30Z", NOW) == "1m30s"
    assert times.left("2026-05-01T14:05:00Z", NOW) == "2h05m"
    assert times.left("2026-05-01T11:00:00Z", NOW) == "0s"
    assert times.length(12 * 86400) == "12d"
    assert times.ago(None, NOW) is None
