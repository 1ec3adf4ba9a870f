"""Where the API server is and how to log in to it, for kopf, which has its own connections."""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp
import kopf
import yaml

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Login:
    """Logs kopf in, and tells of the lists from which its watches begin, empty ones too: kopf does not.

    ``listed`` is called with the kind's plural once such a list, or a page of it, was answered.
    """

    def __init__(self, kubeconfig: str | None, on_list: Callable[[str], None]) -> None:
        self._kubeconfig = kubeconfig
        self._on_list = on_list
        self._last: tuple[kopf.ConnectionInfo, kopf.AiohttpSession] | None = None

    async def open(self, **_: Any) -> kopf.AiohttpSession:
        """Open a session. Files are read anew each time, since tokens of service accounts change."""
        info = _connection(self._kubeconfig)
        if self._last is None or self._last[0] != info:
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
                headers=info.as_http_headers(),
                trace_configs=[self._tracing()],
            )
            self._last = info, kopf.AiohttpSession(server=info.server, aiohttp_session=session)
        # The same for the same credentials: what the API server has refused, kopf does not try again.
        return self._last[1]

    def _tracing(self) -> aiohttp.TraceConfig:
        async def answered(_session: object, _context: object, params: aiohttp.TraceRequestEndParams) -> None:
            if params.method == "GET" and "watch" not in params.url.query and params.response.ok:
                self._on_list(params.url.name)

        trace = aiohttp.TraceConfig()
        trace.on_request_end.append(answered)
        return trace


def _connection(kubeconfig: str | None) -> kopf.ConnectionInfo:
    """Read where the API server is. The pod's environment has its address, so no DNS is needed."""
    if kubeconfig is not None:
        return _from_kubeconfig(Path(kubeconfig))
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    return kopf.ConnectionInfo(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ca_path=str(SERVICE_ACCOUNT / "ca.crt"),
        token=(SERVICE_ACCOUNT / "token").read_text(encoding="utf-8").strip(),
    )


def _from_kubeconfig(path: Path) -> kopf.ConnectionInfo:
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    context = _entry(config["contexts"], config["current-context"])["context"]
    cluster = _entry(config["clusters"], context["cluster"])["cluster"]
    user = _entry(config["users"], context["user"])["user"]
    return kopf.ConnectionInfo(
        server=cluster["server"],
        ca_data=_data(cluster, "certificate-authority", path),
        certificate_data=_data(user, "client-certificate", path),
        private_key_data=_data(user, "client-key", path),
        token=user.get("token"),
    )


def _entry(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(entry for entry in entries if entry["name"] == name)


def _data(section: dict[str, Any], name: str, path: Path) -> bytes | None:
    if f"{name}-data" in section:
        return base64.b64decode(section[f"{name}-data"])
    return (path.parent / section[name]).read_bytes() if name in section else None
