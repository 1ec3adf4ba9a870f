"""A token goes over plain HTTP to this machine only, unless its context says otherwise."""

import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from berth_cli.ui.errors import USAGE, CliError
from berth_cli.user import contexts
from berth_cli.user.client import Api
from berth_cli.user.contexts import Context, Place

PATH = Path("/home/ada/.config/berth/config.toml")


@pytest.mark.parametrize(
    "api",
    [
        "http://berth.example.test",
        "HTTP://berth.example.test",
        "http://198.18.0.11:30080",
        "http://[2001:db8::1]:8080",
        "http://localhost.example.test",
        "http://127.0.0.1.example.test",
        "http://0.0.0.0:8080",
    ],
)
def test_a_token_is_not_sent_in_the_clear(api: str) -> None:
    place = Place(api, "a-token", "lab")
    with pytest.raises(CliError, match="in the clear") as refused:
        Api(place)
    assert refused.value.code == USAGE
    assert "https://" in refused.value.message
    assert "insecure = true" in refused.value.message
    assert "a-token" not in refused.value.message
    Api(replace(place, insecure=True))
    Api(replace(place, token=None))


@pytest.mark.parametrize(
    "api",
    [
        "http://127.0.0.1@berth.example.test",
        "http://x@localhost:8080",
        "https://ada:secret@berth.example.test",
        "http://evil.test\\@127.0.0.1",
        "http://127.0.0.1\\.evil.test",
        "https://evil.test\\.berth.example.test",
    ],
)
def test_an_address_that_programs_read_differently_is_refused(api: str) -> None:
    with pytest.raises(CliError, match="a user or a backslash") as refused:
        Api(Place(api, "a-token", "lab", insecure=True))
    assert refused.value.code == USAGE
    assert "secret" not in refused.value.message


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.7.6", "[::1]", "LOCALHOST"])
def test_this_machine_may_have_it(host: str) -> None:
    Api(Place(f"http://{host}:8080", "a-token", "lab"))


def test_a_context_says_that_it_is_insecure() -> None:
    made = Context("lab", "http://lab.example.test", "t", insecure=True)
    assert contexts.parse(contexts.table(made), PATH).by_name["lab"] == made
    assert "insecure" not in contexts.table(replace(made, insecure=False))
    known = contexts.Contexts("lab", {"lab": made})
    assert contexts.choose(None, {"BERTH_TOKEN": "mine"}, known, PATH).insecure
    assert not contexts.choose(None, {"BERTH_API": "http://else.example.test"}, known, PATH).insecure
    with pytest.raises(CliError, match="true or false"):
        contexts.parse('[contexts.lab]\napi = "x"\ninsecure = "yes"', PATH)


def test_a_token_for_this_machine_passes_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(502)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        try:
            monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
            monkeypatch.delenv("no_proxy", raising=False)
            monkeypatch.delenv("NO_PROXY", raising=False)
            with pytest.raises(CliError, match="no answer"):
                Api(Place("http://127.0.0.1:1", "a-token", "lab")).get("/instances")
        finally:
            proxy.shutdown()
            thread.join()
    assert asked == []
