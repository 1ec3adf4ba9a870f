"""A real API server, asked in the same words as the fake store."""

import base64
import http.client
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import orjson
import yaml

from berth_core.client import Object

from ..wire import Request, Response

SECONDS = 30


class RealServer:
    """One connection to a kube-apiserver, as its administrator."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        self._context = ssl.create_default_context(cadata=authority)
        pair = kubeconfig.with_name("differential.pem")
        pair.touch(mode=0o600)
        pair.write_bytes(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        self._context.load_cert_chain(pair)
        self._address = urlsplit(cluster["server"]).netloc
        self._connection = self._connect()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def handle(self, request: Request) -> Response:
        """Send one request."""
        path = request.path + ("?" + urlencode(request.query) if request.query else "")
        data = None if request.body is None else orjson.dumps(request.body)
        headers = {"Accept": request.accept, "Content-Type": request.content_type}
        while True:
            self._connection.request(request.method, path, data, headers)
            answer = self._connection.getresponse()
            body = orjson.loads(answer.read())
            # The first requests for a kind may come before its storage is there.
            if answer.status != 429:
                return Response(answer.status, body)

    def watch(self, path: str, query: Mapping[str, str]) -> Iterator[Object]:
        """Yield the lines of a watch until the caller has enough. A refusal is one line of type ERROR."""
        connection = self._connect()
        try:
            connection.request("GET", path + "?" + urlencode({**query, "watch": "true"}))
            answer = connection.getresponse()
            if answer.status >= 300:
                yield {"type": "ERROR", "object": orjson.loads(answer.read())}
                return
            while line := answer.readline():
                event: dict[str, Any] = orjson.loads(line)
                yield event
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self._address, context=self._context, timeout=SECONDS)
