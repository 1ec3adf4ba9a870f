"""Relays, and the content of their Secrets; tests say only what differs."""

import base64
import json
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

from berth_core.kube.model import timestamp
from berth_core.machines.reach import Networks
from berth_core.resources import Relay

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
NETWORKS = Networks((ip_network("198.18.0.0/15"),), (ip_network("198.18.7.0/24"),))


def after(seconds: float) -> datetime:
    """That long after NOW."""
    return NOW + timedelta(seconds=seconds)


def request(number: int = 1, do: str = "off", **fields: Any) -> dict[str, Any]:
    """A request of epoch 3, by default that of its end."""
    return {"epoch": 3, "number": number, "do": do, "end": True, "since": timestamp(NOW)} | fields


def relay(asked: dict[str, Any] | None = None, *, status: dict[str, Any] | None = None, **spec: Any) -> Relay:
    """A Relay of the deployment `one`."""
    metadata = {
        "name": "r-power",
        "namespace": "lab",
        "uid": "uid-of-power",
        "resourceVersion": "1",
        "ownerReferences": [{"apiVersion": "v", "kind": "k", "name": "one", "uid": "uid-of-one"}],
    }
    fields = {"deployment": "one", "addon": "power", "secret": "pdu-a"} | spec
    fields |= {"request": asked} if asked is not None else {}
    return Relay.parse({"metadata": metadata, "spec": fields, "status": status or {}})


def encoded(texts: dict[str, str]) -> dict[str, str]:
    """Data of a Secret as the API server gives it."""
    return {key: base64.b64encode(value.encode()).decode() for key, value in texts.items()}


def texts(url: str = "http://198.18.0.1/off", **more: str) -> dict[str, str]:
    """Keys of a Secret that one may use over plain HTTP."""
    off = json.dumps({"method": "POST", "url": url})
    return {"off": off, "deployments": "lab/one", "plain": "true"} | more
