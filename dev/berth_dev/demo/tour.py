"""The tour of the main job: every step is printed with its command and its real result.

Ada and Bob sit at two addresses outside of the cluster and use curl and ssh there. Nothing but
the robot is simulated, and a step with a wrong result ends the tour.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from berth_dev.cluster.outside import clients
from berth_dev.commands import run
from berth_dev.demo import at_an_address, axis
from berth_dev.demo.steps import Lease, give_back, take, title, wait_ended
from berth_dev.demo.visitor import Visitor, out
from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY


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
        title("Ada asks for an instance")
        lease = take(ada, f"/new/{type_name}", Path(folder))
        title("Ada opens a shell; ssh trusts the announced host keys and nothing else")
        ada.enters(lease.login, "echo aboard $(hostname) as $(whoami) with $(python3 --version)")
        _firewall(ada, bob, lease)
        bobs = _hand_over(ada, bob, lease, Path(folder))
        at_an_address.play(ada, bob, bobs, Path(folder))
    out.rule("The cluster goes on running")
    out.print(". .berth/env                     sets kubectl, helm, berth and $BERTH_API", soft_wrap=True)
    out.print("kubectl get wt,wd,inst,fwr -A    shows free machines, holders, and ends of leases", soft_wrap=True)
    out.print(f"berth machine check {axis.NAME}      goes through the walls around the robot", soft_wrap=True)
    out.print("make down                        removes everything", soft_wrap=True)


def _token(user: str, kubeconfig: Path) -> str:
    program = REPOSITORY / ".venv" / "bin" / "berth"
    return run([program, "token", "create", "--user", user], env={"KUBECONFIG": str(kubeconfig)}).stdout.strip()


def _give_back_earlier(*visitors: Visitor) -> None:
    """End what an earlier tour left, so that this one finds free deployments."""
    for visitor in visitors:
        for reservation in json.loads(visitor.send("GET", "/reservations").text)["reservations"]:
            visitor.send("DELETE", f"/reservation/{reservation['id']}")
    for visitor in visitors:
        for instance in json.loads(visitor.send("GET", "/instances").text)["workspace_instances"]:
            visitor.send("POST", f"/terminate/{instance}")
            wait_ended(visitor, instance)


def _look_around(visitor: Visitor) -> str:
    """List types and deployments; answers the type of a free one."""
    title("What is there? Types, and deployments that nobody holds")
    visitor.ask("GET", "/workspaces")
    free: dict[str, Any] = visitor.ask("GET", "/deployments?maxlen=0&info")
    types = [str(free["info"][one]["type"]) for one in free["workspace_deployments"]]
    for name in types:
        if name != axis.TYPE:  # of an earlier tour, and for later in this one
            return name
    raise ClusterError("no deployment is free: see `berth status`, and `berth release` to take one back")


def _firewall(ada: Visitor, bob: Visitor, lease: Lease) -> None:
    rules = f"/firewall/{lease.instance}"
    title(f"The same key from Bob's address: only {ada.at.address}, which asked, is let in")
    ada.ask("GET", rules)
    bob.is_refused(lease.login)
    title("Ada adds a rule for Bob's address, and it is let in")
    ada.ask("POST", rules, {"src": f"{bob.at.address}/32", "action": "ACCEPT"})
    bob.enters(lease.login, "echo aboard from ${SSH_CONNECTION%% *}")
    title("Ada clears the rules: nobody gets in any more")
    ada.ask("DELETE", rules)
    bob.is_refused(lease.login)
    ada.is_refused(lease.login)


def _hand_over(ada: Visitor, bob: Visitor, lease: Lease, folder: Path) -> Lease:
    """Pass the deployment on; answers Bob's lease of it."""
    title("Bob asks for the same deployment and is told that it is busy")
    bob.ask("POST", f"/new/{lease.deployment}", {}, expect=503)
    title("Ada gives it back: ssh is refused, and the deployment is free")
    give_back(ada, lease)
    ada.is_refused(lease.login)
    ada.ask("GET", f"/queuelen/{lease.deployment}")
    title("Now Bob gets it")
    bobs = take(bob, f"/new/{lease.deployment}", folder)
    bob.enters(bobs.login, "echo aboard $(hostname) as $(whoami)")
    return bobs
