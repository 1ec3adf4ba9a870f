"""A log that is followed over a connection that breaks: the server is a socket that speaks HTTP, no more."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from berth_cli.user.builds import logs
from berth_cli.user.client import Api
from berth_cli.user.contexts import Place

FIRST = b": heartbeat\n\nevent: status\ndata: running\n\nid: 1\ndata: one\n\nid: 2\ndata: two\n\nid: 3\ndata: cut"
SECOND = b"id: 3\ndata: three\n\nid: 4\ndata: \n\nevent: end\ndata: failed\n\n"


class Handler(BaseHTTPRequestHandler):
    """Sends a log in two parts, and notes from where each was asked for."""

    asked: list[tuple[str, str | None, str | None]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Last-Event-ID"], self.headers["Authorization"]))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(SECOND if self.headers["Last-Event-ID"] else FIRST)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Handler.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield made
        finally:
            made.shutdown()
            thread.join()


def test_it_goes_on_where_it_broke_off(server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    lines, words = list[str](), list[str]()
    api = Api(Place(f"http://127.0.0.1:{server.server_port}", "a-token", "test"))
    assert logs.follow(api, "arm", "b-1", lines.append, words.append) == "failed"
    assert (lines, words) == (["one", "two", "three", ""], ["running"])
    path = "/ci/project/arm/job/b-1/log?follow"
    assert Handler.asked == [(path, None, "Bearer a-token"), (path, "2", "Bearer a-token")]
