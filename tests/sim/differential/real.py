"""A real API server, asked in the same words as the fake store."""

import base64
import http.client
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import orjson
import yaml

from berth_core.kube.types import Object
from berth_dev.processes import ProcessSpec

from ..wire import Request, Response

SECONDS: Final = 60
FORGOTTEN: Final = "1"
"""A resourceVersion before all that is remembered: caches of Berth's kinds begin later, and etcd is compacted."""


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
        _compact(kubeconfig.parent)

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
            # A kind's storage, or its cache, may not be there yet or lag behind when the machine is busy.
            if answer.status != 429 and not (answer.status == 504 and request.method == "GET"):
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


def _compact(folder: Path) -> None:
    """Let etcd forget FORGOTTEN, through its HTTP gateway."""
    command = ProcessSpec.load(folder / "processes" / "kube-apiserver.json").command
    flags = dict(word.removeprefix("--").partition("=")[::2] for word in command[1:])
    context = ssl.create_default_context(cafile=flags["etcd-cafile"])
    context.load_cert_chain(flags["etcd-certfile"], flags["etcd-keyfile"])
    connection = http.client.HTTPSConnection(urlsplit(flags["etcd-servers"]).netloc, context=context, timeout=SECONDS)
    try:
        connection.request("POST", "/v3/kv/compaction", orjson.dumps({"revision": str(int(FORGOTTEN) + 1)}))
        answer = connection.getresponse()
        text = answer.read().decode()
    finally:
        connection.close()
    if answer.status != 200 and "has been compacted" not in text:
        raise RuntimeError(f"etcd was not compacted: {answer.status} {text}")
