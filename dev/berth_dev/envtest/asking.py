"""Requests to an API server in the name of others, over one connection, without a process for each."""

import base64
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import yaml

from berth_dev.envtest.apiserver import ApiServer

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Asking:
    """A connection to an API server as its administrator, which impersonates others."""

    client: httpx.Client

    def __call__(
        self,
        who: str,
        method: str,
        path: str,
        body: Any = None,
        *,
        dry: bool = True,
        kind: str = "application/json",
        groups: tuple[str, ...] = (),
    ) -> httpx.Response:
        """Send a request in the name of ``who`` (empty for the administrator), without effect where it is ``dry``.

        ``groups`` are needed for a node, whose name implies none, unlike an account's. Of a watch only the answer's
        head is read.
        """
        headers = {"Content-Type": MERGE if method == "PATCH" and kind == "application/json" else kind}
        spoken = [("Impersonate-User", who)] if who else []
        spoken += [("Impersonate-Group", group) for group in groups]
        query = {"dryRun": "All"} if dry and method != "GET" else {}
        url = httpx.URL(path).copy_merge_params(query)
        request = self.client.build_request(method, url, json=body, headers=[*headers.items(), *spoken])
        answer = self.client.send(request, stream=True)
        if not (answer.is_success and "watch" in url.params):  # that one has no end
            answer.read()
        answer.close()
        return answer


@contextmanager
def asking(server: ApiServer) -> Iterator[Asking]:
    """Connect for the length of a ``with`` block."""
    config = yaml.safe_load(server.kubeconfig.read_text(encoding="utf-8"))
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority"))
    with tempfile.NamedTemporaryFile("w") as pair:
        pair.write(_pem(user, "client-certificate") + _pem(user, "client-key"))
        pair.flush()
        context.load_cert_chain(pair.name)
    with httpx.Client(base_url=cluster["server"], verify=context, timeout=60) as client:
        yield Asking(client)


def _pem(section: dict[str, str], name: str) -> str:
    if f"{name}-data" in section:
        return base64.b64decode(section[f"{name}-data"]).decode()
    with open(section[name], encoding="utf-8") as file:
        return file.read()
