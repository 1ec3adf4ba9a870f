"""A small OIDC provider: signs tokens with keys that it rotates, and serves its JWK set over HTTP."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

ISSUER = "https://login.example.test/realm"


class OidcProvider:
    """Serves at `url` while it is up; what it answers can be replaced by `answer`: status, headers, body."""

    def __init__(self) -> None:
        self.keys: list[RSAKey] = []
        self.answer: tuple[int, dict[str, str], bytes] | None = None
        self.requests: list[str] = []
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self.rotate()

    @property
    def url(self) -> str:
        """Where the JWK set is."""
        return f"http://127.0.0.1:{self._port}/jwks"

    def rotate(self) -> None:
        """Sign with a new key; the one before is still published, older ones are not."""
        key = RSAKey.generate_key(2048, {"kid": f"key-{time.monotonic_ns()}", "use": "sig", "alg": "RS256"})
        self.keys = [key, *self.keys[:1]]

    def token(self, subject: str = "alice", *, key: RSAKey | None = None, **claims: Any) -> str:
        """A token for Berth."""
        signing = key or self.keys[0]
        now = int(time.time())
        said = {"iss": ISSUER, "sub": subject, "aud": "berth", "iat": now, "exp": now + 300} | claims
        return jwt.encode({"alg": "RS256", "kid": signing.kid}, said, signing)

    def start(self) -> None:
        """Answer; at the same address as before where there was one."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.requests.append(self.path)
                status, headers, body = provider.answer or (200, {}, provider.published())
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Write nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        """Be away."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def published(self) -> bytes:
        """The JWK set."""
        return json.dumps({"keys": [key.as_dict(private=False) for key in self.keys]}).encode()


@contextmanager
def running_provider() -> Iterator[OidcProvider]:
    """A provider that is up."""
    provider = OidcProvider()
    provider.start()
    try:
        yield provider
    finally:
        provider.stop()
