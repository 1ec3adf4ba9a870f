"""A deployment passes from its holder to another who waits for it: what leads there, and what must be true then."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lab import NAMESPACE, Lab, Person
from session import Session

TEMPLATE: dict[str, object] = {"image": "localhost/berth-workspace:dev", "imagePullPolicy": "IfNotPresent"}
TURN_SECONDS = 60


@contextmanager
def lent_to_nobody_else(lab: Lab, type_name: str, *, warm: bool = False, **template: object) -> Iterator[str]:
    """Make a type with one deployment, and take both away again; the deployment's name."""
    name = lab.makes_type(type_name, {**TEMPLATE, **template}, warm=warm)
    try:
        yield name
    finally:
        lab.kubectl("delete", "reservations", "--all", "-n", NAMESPACE)  # of a test that failed
        lab.kubectl("delete", f"wd/{name}", f"wt/{name}", "-n", NAMESPACE, "--wait=false")


def door(lab: Lab, instance: str) -> dict[str, Any]:
    """Return where an instance's ssh is, with its host keys, in the API's words."""
    status = lab.get("instance", instance)["status"]
    return {"fwd": status["address"], "hostkeys": status["hostKeys"]}


def queues(lab: Lab, waiter: Person, deployment: str) -> None:
    """Get in line for a deployment that somebody has."""
    where = f"/new/{lab.get('wd', deployment)['status']['id']}"
    asked = waiter.asks("POST", where, {"sshkey": waiter.public_key(), "reserve": True})
    assert (asked.status, asked.json["success"]) == (200, False), asked.text


@contextmanager
def held_and_awaited(lab: Lab, holder: Person, waiter: Person, deployment: str) -> Iterator[tuple[str, Any, Session]]:
    """A lease with a shell in it, for whose deployment another waits: the instance, its door, the shell."""
    instance = holder.takes(lab.get("wd", deployment)["status"]["id"])
    old = door(lab, instance)
    queues(lab, waiter, deployment)
    with Session(holder, old) as before:
        assert before.gets_in()
        yield instance, old, before


def passes_to(lab: Lab, waiter: Person, deployment: str) -> str:
    """Wait until the lease is another's, and return that one's instance."""
    lab.wait(f"wd/{deployment}", f"jsonpath={{.status.lease.user}}={waiter.name}", TURN_SECONDS)
    instance = str(lab.get("wd", deployment)["status"]["lease"]["instance"])
    lab.wait(f"instance/{instance}", "create", TURN_SECONDS)  # the lease is taken before it is made
    return instance


def gets_in_alone(lab: Lab, waiter: Person, instance: str, holder: Person, before: Session, old: Any) -> None:
    """Show that the next holder's shell opens, and that nothing of the earlier one's was heard from then on."""
    lab.wait(f"instance/{instance}", "condition=Ready", TURN_SECONDS)
    new = door(lab, instance)
    with Session(waiter, new) as after:
        assert after.gets_in()
        assert waiter.asks("POST", f"/firewall/{instance}", {"src": holder.address()}).status == 200
        holder.probe(new, "open")
        assert [holder.ssh(tried, "true").returncode for tried in (old, new)] == [255, 255], "the earlier key opens"
        assert before.last_at < after.first_at, "the earlier shell went on"
