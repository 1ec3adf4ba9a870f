"""Where a token may be sent, and how."""

import base64
from datetime import UTC, datetime

import pytest

from berth_notifier import outcome, targets, tokens
from berth_notifier.tokens import Token, TokenError

from .receiver import message, sending

SECRET = "ghp_0123456789"


def data(token: str = SECRET, url: str = "https://api.example.org/repos/lab") -> dict[str, str]:
    """Content of a Secret."""
    return {name: base64.b64encode(value.encode()).decode() for name, value in (("token", token), ("url", url))}


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://api.example.org/repos/lab", True),
        ("https://api.example.org/repos/lab/arm/statuses/0123", True),
        ("https://API.example.org:443/repos/lab/arm?x=1", True),
        ("https://api.example.org/repos/laboratory/arm", False),
        ("https://api.example.org/repos/", False),
        ("https://api.example.org/repos/lab/../other/arm", False),
        ("https://api.example.org/repos/lab/%2E%2e/other/arm", False),
        ("https://api.example.org/repos/lab/..?x", False),
        ("https://api.example.org/repos/lab/..%2fother/arm", False),
        ("https://api.example.org/repos/lab/arm%2F..%2F..%2Fother", False),
        ("https://api.example.org/repos/lab/..%5cother/arm", False),
        ("https://api.example.org/repos/lab/%252e%252e/other/arm", False),
        ("https://api.example.org/repos/lab/..;/other/arm", False),
        ("https://api.example.org/repos/lab/./arm", False),
        ("https://api.example.org/repos/lab//other", False),
        ("https://api.example.org/repos/lab/arm.git/statuses/0123/?x=%2f..", True),
        ("http://api.example.org/repos/lab/arm", False),
        ("https://api.example.org:8443/repos/lab/arm", False),
        ("https://evil.example.org/repos/lab/arm", False),
        ("https://api.example.org.evil.example/repos/lab/arm", False),
    ],
)
def test_a_token_goes_only_where_its_secret_says(url: str, allowed: bool) -> None:
    for written in ("https://api.example.org/repos/lab", "https://API.example.org/repos/lab"):
        token = tokens.parse("hub", data(url=written))
        assert token.may_go_to(targets.parse(url)) is allowed


def test_what_the_secret_itself_has_encoded_may_be_so() -> None:
    """As GitLab has names of projects."""
    token = tokens.parse("hub", data(url="https://api.example.org/projects/lab%2Farm"))
    assert token.may_go_to(targets.parse("https://api.example.org/projects/lab%2Farm/statuses/0123"))
    assert not token.may_go_to(targets.parse("https://api.example.org/projects/lab%2Farm%2Fother/statuses/0123"))


def test_a_secret_for_a_whole_host() -> None:
    token = tokens.parse("hub", data(url="https://api.example.org"))
    assert token.may_go_to(targets.parse("https://api.example.org/anything"))


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"token": data()["token"]},
        {"url": data()["url"]},
        data(token=""),
        data(token="two words"),
        data(token="a\r\nX-Evil: 1"),
        data(token="ü"),
        data(url="ftp://example.org"),
        data(url="https://user:pw@example.org"),
        {"token": "%", "url": "%"},
    ],
)
def test_a_secret_that_cannot_be_used_is_named_and_not_shown(content: dict[str, str]) -> None:
    with pytest.raises(TokenError, match="the Secret hub ") as refused:
        tokens.parse("hub", content)
    shown = str(refused.value)
    assert not any(text in shown for text in ("two words", "X-Evil", "user:pw", "ftp:", SECRET))


def test_a_token_is_in_no_text() -> None:
    token = tokens.parse("hub", data())
    assert SECRET not in repr(token) + str(token)


def test_each_provider_gets_it_in_its_own_header() -> None:
    token = Token(SECRET, targets.parse("https://example.org/"))
    assert tokens.headers("github", token)["Authorization"] == f"Bearer {SECRET}"
    assert tokens.headers("gitlab", token) == {"PRIVATE-TOKEN": SECRET}
    assert tokens.headers("gitea", token) == {"Authorization": f"token {SECRET}"}
    for form in ("github", "gitlab", "gitea"):
        assert SECRET not in str(tokens.headers(form, None))


async def test_without_the_token_that_is_wanted_nothing_is_sent() -> None:
    spec = message("https://example.org/", form="github", tokenSecret="hub")
    async with sending() as sender:
        ended = await sender.send(spec, datetime.now(UTC))
    assert (ended.reason, ended.final) == (outcome.TOKEN_REFUSED, False)
