"""Steps that parts of the tour share: asking for an instance, waiting for it, its end."""

import json
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from berth_dev.cluster.outside import Login
from berth_dev.demo.visitor import Visitor, out, wait
from berth_dev.errors import ClusterError

READY_WITHIN = 60.0
FREE_WITHIN = 30.0

_numbers = count(1)


@dataclass(frozen=True)
class Lease:
    """A lease of a visitor: the instance, its deployment, and the login."""

    instance: str
    deployment: str
    login: Login


def title(text: str) -> None:
    """Print the heading of the next step."""
    out.print(f"\n[bold]{next(_numbers)}. {text}[/]", soft_wrap=True)


def take(visitor: Visitor, path: str, folder: Path) -> Lease:
    """Ask for an instance, wait until it is READY, keep its key and host keys in files."""
    answer = visitor.ask("POST", path, {})
    key = folder / f"{visitor.name}-key"
    key.touch(mode=0o600)
    key.write_text(answer["sshkey"], encoding="utf-8")
    return ready(visitor, str(answer["id"]), key)


def ready(visitor: Visitor, instance: str, key: Path) -> Lease:
    """Wait until an instance is READY, and keep its host keys in a file beside the key."""

    def is_ready() -> bool:
        info = visitor.instance(instance)
        if info["status"] == "INIT_FAIL":
            raise ClusterError(f"instance {instance} failed to start: {info.get('message', 'no reason given')}")
        return bool(info["status"] == "READY")

    seconds = wait(f"instance {instance} to be READY", READY_WITHIN, is_ready)
    out.print(f"  READY after {seconds:.1f} s", soft_wrap=True)
    info: dict[str, Any] = visitor.ask("GET", f"/instance/{instance}")
    host, port = info["fwd"]["ipv4"], int(info["fwd"]["port"])
    login = Login((host, port), key=key, known_hosts=key.with_name(f"{visitor.name}-known-hosts-{port}"))
    login.known_hosts.write_text("".join(f"[{host}]:{port} {key}\n" for key in info["hostkeys"]), encoding="utf-8")
    return Lease(instance=instance, deployment=str(info["deployment"]), login=login)


def give_back(visitor: Visitor, lease: Lease) -> None:
    """End an instance, and wait until all of it is gone."""
    visitor.ask("POST", f"/terminate/{lease.instance}")
    seconds = wait_ended(visitor, lease.instance)
    out.print(f"  TERMINATED after {seconds:.1f} s", soft_wrap=True)


def wait_ended(visitor: Visitor, instance: str) -> float:
    """Wait until an instance has ended; the seconds that took."""

    def ended() -> bool:
        answer = visitor.send("GET", f"/instance/{instance}")
        # An administrator may have deleted it meanwhile.
        return answer.status == 404 or json.loads(answer.text).get("status") in ("TERMINATED", "INIT_FAIL")

    return wait(f"instance {instance} to end", FREE_WITHIN, ended)
