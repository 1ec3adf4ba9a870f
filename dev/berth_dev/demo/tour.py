"""The tour of the main job: every step is printed with its command and its real result.

Ada and Bob sit at two addresses outside of the cluster and use curl and ssh there. Nothing is
simulated, and a step with a wrong result ends the tour.
"""

import json
import tempfile
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from berth_dev.cluster.outside import Login, clients
from berth_dev.commands import run
from berth_dev.demo.visitor import Visitor, out, wait
from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY

READY_WITHIN = 60.0
FREE_WITHIN = 30.0

_numbers = count(1)


@dataclass(frozen=True)
class Lease:
    """A lease of a visitor: the instance, its deployment, and the login."""

    instance: str
    deployment: str
    login: Login


def play(api: str, authority: Path, kubeconfig: Path) -> None:
    """Play all steps against the API at `api`, whose certificate `authority` has signed.

    Raises ClusterError at the first that fails.
    """
    first, second, *_ = clients()
    out.print(f"The API answers at {api}; curl trusts the authority that `make up` made: {authority}", soft_wrap=True)
    ada = Visitor("ada", first, api, authority, _token("ada", kubeconfig))
    bob = Visitor("bob", second, api, authority, _token("bob", kubeconfig))
    _give_back_earlier(ada, bob)
    with tempfile.TemporaryDirectory(prefix="berth-demo-") as folder:
        type_name = _look_around(ada)
        _title("Ada asks for an instance")
        lease = _take(ada, f"/new/{type_name}", Path(folder))
        _title("Ada opens a shell; ssh trusts the announced host keys and nothing else")
        ada.enters(lease.login, "echo aboard $(hostname) as $(whoami) with $(python3 --version)")
        _firewall(ada, bob, lease)
        _hand_over(ada, bob, lease, Path(folder))
    out.rule("The cluster goes on running")
    out.print(". .berth/env                     sets kubectl, helm, berth and $BERTH_API", soft_wrap=True)
    out.print("kubectl get wt,wd,inst,fwr -A    shows free machines, holders, and ends of leases", soft_wrap=True)
    out.print("make down                        removes everything", soft_wrap=True)


def _title(text: str) -> None:
    out.print(f"\n[bold]{next(_numbers)}. {text}[/]", soft_wrap=True)


def _token(user: str, kubeconfig: Path) -> str:
    program = REPOSITORY / ".venv" / "bin" / "berth"
    return run([program, "token", "create", "--user", user], env={"KUBECONFIG": str(kubeconfig)}).stdout.strip()


def _give_back_earlier(*visitors: Visitor) -> None:
    """End instances of an earlier tour, so that this one finds a free deployment."""
    for visitor in visitors:
        for instance in json.loads(visitor.send("GET", "/instances").text)["workspace_instances"]:
            visitor.send("POST", f"/terminate/{instance}")
            _wait_ended(visitor, instance)


def _wait_ended(visitor: Visitor, instance: str) -> float:
    def ended() -> bool:
        answer = visitor.send("GET", f"/instance/{instance}")
        # An administrator may have deleted it meanwhile.
        return answer.status == 404 or json.loads(answer.text).get("status") in ("TERMINATED", "INIT_FAIL")

    return wait(f"instance {instance} to end", FREE_WITHIN, ended)


def _look_around(visitor: Visitor) -> str:
    """List types and deployments; answers the type of a free one."""
    _title("What is there? Types, and deployments that nobody holds")
    visitor.ask("GET", "/workspaces")
    free: dict[str, Any] = visitor.ask("GET", "/deployments?maxlen=0&info")
    if not free["workspace_deployments"]:
        raise ClusterError("no deployment is free: see `berth status`, and `berth release` to take one back")
    return str(free["info"][free["workspace_deployments"][0]]["type"])


def _take(visitor: Visitor, path: str, folder: Path) -> Lease:
    """Ask for an instance, wait until it is READY, keep its key and host keys in files."""
    answer = visitor.ask("POST", path, {})
    instance = str(answer["id"])

    def ready() -> bool:
        info = visitor.instance(instance)
        if info["status"] == "INIT_FAIL":
            raise ClusterError(f"instance {instance} failed to start: {info.get('message', 'no reason given')}")
        return bool(info["status"] == "READY")

    seconds = wait(f"instance {instance} to be READY", READY_WITHIN, ready)
    out.print(f"  READY after {seconds:.1f} s", soft_wrap=True)
    info = visitor.ask("GET", f"/instance/{instance}")
    host, port = info["fwd"]["ipv4"], int(info["fwd"]["port"])
    login = Login((host, port), key=folder / f"{visitor.name}-key", known_hosts=folder / f"{visitor.name}-known-hosts")
    login.key.touch(mode=0o600)
    login.key.write_text(answer["sshkey"], encoding="utf-8")
    login.known_hosts.write_text("".join(f"[{host}]:{port} {key}\n" for key in info["hostkeys"]), encoding="utf-8")
    return Lease(instance=instance, deployment=str(info["deployment"]), login=login)


def _firewall(ada: Visitor, bob: Visitor, lease: Lease) -> None:
    rules = f"/firewall/{lease.instance}"
    _title(f"The same key from Bob's address: only {ada.at.address}, which asked, is let in")
    ada.ask("GET", rules)
    bob.is_refused(lease.login)
    _title("Ada adds a rule for Bob's address, and it is let in")
    ada.ask("POST", rules, {"src": f"{bob.at.address}/32", "action": "ACCEPT"})
    bob.enters(lease.login, "echo aboard from ${SSH_CONNECTION%% *}")
    _title("Ada clears the rules: nobody gets in any more")
    ada.ask("DELETE", rules)
    bob.is_refused(lease.login)
    ada.is_refused(lease.login)


def _hand_over(ada: Visitor, bob: Visitor, lease: Lease, folder: Path) -> None:
    _title("Bob asks for the same deployment and is told that it is busy")
    bob.ask("POST", f"/new/{lease.deployment}", {}, expect=503)
    _title("Ada gives it back: ssh is refused, and the deployment is free")
    ada.ask("POST", f"/terminate/{lease.instance}")
    seconds = _wait_ended(ada, lease.instance)
    out.print(f"  TERMINATED after {seconds:.1f} s", soft_wrap=True)
    ada.is_refused(lease.login)
    ada.ask("GET", f"/queuelen/{lease.deployment}")
    _title("Now Bob gets it")
    bobs = _take(bob, f"/new/{lease.deployment}", folder)
    bob.enters(bobs.login, "echo aboard $(hostname) as $(whoami)")
