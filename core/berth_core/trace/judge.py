"""Judges of each commit whether the lease protocol allows it after the earlier ones (design: I1, I2, I5). Pure.

A gap in the trace is no breach: an object that was never seen counts as unknown, and rules that need it are skipped.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from berth_core.trace import fencing
from berth_core.trace.commits import ADDED, DELETED, Commit
from berth_core.trace.fencing import Fields, Name

BELONGINGS: Final = ("pods", "secrets", "services", "jobs")


@dataclass(frozen=True)
class Breach:
    """A commit that the protocol does not allow."""

    commit: Commit
    rule: str
    message: str
    look_at: str = ""
    """Advice: a sentence that says where to look."""

    def __str__(self) -> str:
        """Return two lines for a person."""
        what = f"{self.commit.plural}/{self.commit.name}"
        by = f" by {self.commit.by}" if self.commit.by else ""
        text = f"version {self.commit.version}, {self.commit.event} {what}{by}: {self.message} [{self.rule}]"
        return f"{text}\n  look at: {self.look_at}" if self.look_at else text


@dataclass
class Verdict:
    """Result of reading a trace: commits, and those that are not allowed."""

    commits: int = 0
    taken: int = 0
    given_back: int = 0
    bound: int = 0
    served: int = 0
    """Pods whose containers were seen to start."""
    breaches: list[Breach] = field(default_factory=list)


def judge(commits: Iterable[Commit]) -> Verdict:
    """Judge a whole trace, in its order."""
    court = Judge()
    for commit in commits:
        court.see(commit)
    return court.verdict


class Judge:
    """Keeps the state after the commits so far."""

    def __init__(self) -> None:
        self.verdict = Verdict()
        self._now: dict[str, dict[Name, dict[str, Any]]] = {}
        self._by_id: dict[Name, str] = {}
        """Names of Instances, by namespace and public id."""
        self._over: set[Name] = set()
        """Public ids of instances that were seen to end."""
        self._came: set[Name] = set()
        """Instances whose creation is in the trace."""
        self._late: set[tuple[str, Name]] = set()
        """Objects that were made after their instance had ended, or was gone."""
        self._nonces: dict[Name, set[tuple[int, str]]] = {}
        """By deployment: epochs and nonces that were written for warm pods."""

    def see(self, commit: Commit) -> list[Breach]:
        """Judge the next commit, and return its breaches."""
        self.verdict.commits += 1
        breaches: list[Breach] = []
        key = commit.namespace, commit.name
        kind = self._now.setdefault(commit.plural, {})
        before = kind.get(key)
        after = None if commit.event == DELETED else dict(commit.fields)
        judged = not commit.known and (before is not None or commit.event == ADDED)
        if after is None:
            kind.pop(key, None)
        else:
            kind[key] = after
        if commit.plural in BELONGINGS:
            self._note_belonging(commit, key, before, after)
        elif commit.plural == "workspacedeployments":
            self._note_deployment(key, after)
        elif commit.plural == "instances" and after is not None:
            self._by_id[commit.namespace, after["id"]] = commit.name
            if commit.event == ADDED and not commit.known:
                self._came.add(key)
        if judged:
            breaches += [Breach(commit, *told) for told in self._check(commit, key, before, after)]
            breaches += [Breach(commit, *told) for told in self._check_what_runs(commit, before, after)]
        if commit.plural == "instances" and after is not None and after["ended"]:
            self._over.add((commit.namespace, after["id"]))
        self.verdict.breaches += breaches
        return breaches

    def _check(
        self, commit: Commit, key: Name, before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> Iterable[tuple[str, str, str]]:
        match commit.plural:
            case "workspacedeployments":
                return list(self._deployment(key, before, after))
            case "instances":
                return list(self._instance(key, before, after))
            case "leases" if before is not None and after is not None:
                return list(_leader(before, after))
            case "pods" if before is not None and after is not None:
                return list(self._claim(before, after))
        return ()

    # A deployment and its lease.

    def _deployment(
        self, key: Name, before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> Iterable[tuple[str, str, str]]:
        former = before["lease"] if before else None
        if after is None:
            if former is not None:
                yield (
                    "deletion-waits",
                    f"the deployment was deleted while {former['instance']} had its lease",
                    "the writer that took the finalizer off, and whether a pod of that instance still runs",
                )
            return
        if before is None:
            return
        lease, epoch, grew = after["lease"], after["epoch"], after["epoch"] - before["epoch"]
        if grew < 0:
            yield "epoch-grows", f"the epoch shrank from {before['epoch']} to {epoch}", "a restore of an old backup"
        if former is None and lease is not None:
            self.verdict.taken += 1
            if grew != 1:
                yield "one-epoch", f"a lease was taken, and the epoch grew by {grew}", "the writer of the status"
            if before["deleting"]:
                yield "deletion-waits", "a deployment that is being deleted was taken", "the writer of the status"
        elif former is not None and grew > 0:
            yield "one-epoch", "the epoch grew while the lease was held", "the writer of the status"
        if former is not None and lease is not None and former["instance"] != lease["instance"]:
            yield (
                "one-holder",
                f"the lease passed from {former['instance']} to {lease['instance']} without being given back",
                "the writer of the status",
            )
        if former is not None and lease is None:
            self.verdict.given_back += 1
            for plural, name in self._remains(key, former["instance"], before):
                yield (
                    "nothing-left",
                    f"the lease of {former['instance']} (epoch {before['epoch']}) was given back while {plural}/{name}"
                    " of it was still there",
                    f"{plural}/{name}: when it was made and when it went",
                )
            waiter = self._waiter(key[0], former["instance"])
            if waiter is not None and waiter.get("returned") != {"deployment": key[1], "epoch": before["epoch"]}:
                yield (
                    "marked-first",
                    f"the lease of {former['instance']} (epoch {before['epoch']}) was given back; it may use it still",
                    "the writer of the deployment's status",
                )

    def _instance_of(self, namespace: str, public_id: str) -> Fields | None:
        """Return the Instance with that id; not a later one of the same name."""
        instance = self._now.get("instances", {}).get((namespace, self._by_id.get((namespace, public_id), "")))
        return instance if instance is not None and instance["id"] == public_id else None

    def _waiter(self, namespace: str, public_id: str) -> Fields | None:
        """Return the Instance with that id, if it still waits: without a claim, an epoch and a reason."""
        instance = self._instance_of(namespace, public_id)
        begun = instance is None or instance["claim"] or instance["epoch"] is not None or instance["reason"]
        return None if begun else instance

    def _remains(self, key: Name, instance: str, deployment: dict[str, Any]) -> Iterable[tuple[str, str]]:
        """Remains of a lease when it is given back, without harmless late objects."""
        epoch = deployment["epoch"]
        unused = self._waiter(key[0], instance) is not None
        holder = self._instance_of(key[0], instance)
        lent = holder is not None and bool(holder.get("warm")) and holder["epoch"] == epoch
        for plural in BELONGINGS:
            for name, of in self._now.get(plural, {}).items():
                here = of.get("deployment") == key[1] and of.get("epoch") == epoch
                warm = here and of.get("warm")
                mine = here and of.get("instance") == instance
                unlabelled = of.get("deployment") is None and _is_named(name[1], instance, deployment)
                if name[0] != key[0] or not (mine or warm or unlabelled):
                    continue
                # A Secret of an unused lease counts as late: a former leader made it, which was about to use it.
                late = (plural, name) in self._late or (unused and plural == "secrets")
                if (late or (warm and not lent)) and not self._matters(plural, name, of):
                    continue
                yield plural, name[1]

    def _matters(self, plural: str, name: Name, of: dict[str, Any]) -> bool:
        """Whether a late object can still have an effect."""
        if plural == "pods":
            return fencing.can_run(self._now, name[0], of)
        if plural == "secrets":
            pods = self._now.get("pods", {})
            return any(n[0] == name[0] and name[1] in pod["mounts"] and not pod["over"] for n, pod in pods.items())
        # A Job of an earlier version names no Secret, so its pod can start.
        return plural == "jobs" and fencing.all_there(self._now, name[0], of.get("mounts") or ())

    # An Instance.

    def _instance(
        self, key: Name, before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> Iterable[tuple[str, str, str]]:
        if after is None:
            if before is not None and before["epoch"] is not None and not before["ended"]:
                yield "finalizer", "a bound Instance is gone before it ended", "the writer that took its finalizer off"
            return
        was = before or dict.fromkeys(after)
        for name in ("reason", "epoch", "terminate", "ended"):
            if was[name] and after[name] != was[name]:
                yield "set-once", f"{name} changed from {was[name]!r} to {after[name]!r}", "the writer of the Instance"
        if was["reason"] and was["nonce"] and after["nonce"] != was["nonce"]:
            yield "set-once", "the nonce of an instance that ends changed", "the writer of the status"
        if was["epoch"] is None and after["epoch"] is not None:
            yield from self._bound(key, was, after)
        if after["ended"] and not was["ended"]:
            if not after["reason"]:
                yield "ended", "it ended without a reason", "the writer of the status"
            # A tombstone was never Bound: the lease that it must give back is the one that it claims.
            of = after if after["epoch"] is not None else after["claim"]
            if of and self._holds(key[0], after["id"], of):
                yield "ended", "it ended while it had the lease", "why the lease was not given back before"

    def _bound(self, key: Name, was: dict[str, Any], after: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
        self.verdict.bound += 1
        look = f"workspacedeployments/{after['deployment']} at this version"
        if was["terminate"] or was["reason"] or (key[0], after["id"]) in self._over:
            yield "never-made", "an Instance became Bound that was to end already", "the writer of the status"
        deployment = self._now.get("workspacedeployments", {}).get((key[0], after["deployment"]))
        if deployment is not None:
            if not self._holds(key[0], after["id"], after):
                yield "bound-by-lease", f"it became Bound at epoch {after['epoch']} without that lease", look
            elif None not in (after.get("user"), deployment["lease"].get("user")) and (
                after["user"] != deployment["lease"]["user"]
            ):
                yield "bound-by-lease", "the lease is another user's", look
        # For an Instance from before the trace, or with a warm pod, the Secret may be older than the trace.
        secret = f"i-{after['id']}-e{after['epoch']}-{after['nonce']}"
        if (
            after["nonce"]
            and not after.get("warm")
            and key in self._came
            and (key[0], secret) not in self._now.get("secrets", {})
        ):
            yield "secret-first", "it became Bound before the Secret of its nonce was there", f"secrets/{secret}"

    def _holds(self, namespace: str, public_id: str, of: Fields) -> bool:
        """Whether an instance has the lease of a deployment and epoch."""
        deployment = self._now.get("workspacedeployments", {}).get((namespace, of["deployment"]))
        lease = deployment["lease"] if deployment else None
        return bool(deployment and lease and lease["instance"] == public_id and deployment["epoch"] == of["epoch"])

    # Pods.

    def _claim(self, before: dict[str, Any], after: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
        if after["running"] and not before["running"]:
            self.verdict.served += 1
        if before["instance"] and after["instance"] != before["instance"]:
            yield (
                "one-holder",
                f"a pod of {before['instance']} became one of {after['instance']}",
                "the writer of the pod",
            )
        if before["over"] and after["running"]:
            yield "ended", "a container runs in a pod that was over", "the node's kubelet"

    def _check_what_runs(
        self, commit: Commit, before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> Iterable[tuple[str, str, str]]:
        """Check that every pod that runs or can start belongs to the lease of its own instance and epoch (I2)."""
        if commit.plural not in ("pods", "secrets", "workspacedeployments"):
            return
        for name, pod in self._now.get("pods", {}).items():
            if name[0] != commit.namespace or not self._concerns(commit, name[1], pod, before, after):
                continue
            deployment = self._now.get("workspacedeployments", {}).get((name[0], pod["deployment"]))
            if not fencing.can_run(self._now, name[0], pod) or (
                deployment is None and not self._was_deployment(commit, pod)
            ):
                continue
            why = fencing.unfenced(deployment, pod) or self._unordered(name[0], pod)
            if why:
                word = "runs" if pod["running"] else "can start"
                yield "fenced", f"the pod {name[1]} {word}: {why}", f"pods/{name[1]}, and the lease at this version"

    def _concerns(
        self,
        commit: Commit,
        name: str,
        pod: dict[str, Any],
        before: dict[str, Any] | None,
        after: dict[str, Any] | None,
    ) -> bool:
        if commit.plural == "pods":
            return name == commit.name
        if commit.plural == "secrets":
            return commit.name in pod["mounts"]
        # A give-back has a rule of its own, which names all remains.
        given_back = before is not None and after is not None and before["lease"] and not after["lease"]
        changed = before is None or after is None or before["lease"] != after["lease"]
        return pod["deployment"] == commit.name and changed and not given_back

    def _was_deployment(self, commit: Commit, pod: dict[str, Any]) -> bool:
        return commit.plural == "workspacedeployments" and commit.name == pod["deployment"]

    def _unordered(self, namespace: str, pod: dict[str, Any]) -> str:
        if pod.get("hook") or not pod["mounts"]:
            return ""
        owner = self._instance_of(namespace, pod["instance"] or self._holder_of(namespace, pod))
        # Where somebody has deleted the Secrets of a lease, its Instance names new ones.
        is_renewed = owner is not None and owner["nonce"] is not None and not fencing.unordered(pod, owner)
        if pod["warm"] and not is_renewed:
            return fencing.warm_unordered(pod, self._nonces.get((namespace, pod["deployment"]), set()))
        return fencing.unordered(pod, owner) if owner is not None else ""

    def _holder_of(self, namespace: str, pod: Fields) -> str:
        """Public id of the instance that has the lease of a pod's epoch, which a warm pod does not name."""
        deployment = self._now.get("workspacedeployments", {}).get((namespace, pod["deployment"]))
        lease = deployment["lease"] if deployment and deployment["epoch"] == pod["epoch"] else None
        return lease["instance"] if lease else ""

    def _note_belonging(
        self, commit: Commit, key: Name, before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> None:
        mark = commit.plural, key
        if after is None:
            self._late.discard(mark)
        elif before is None and not commit.known and after.get("instance"):
            owner = self._instance_of(key[0], after["instance"])
            if owner is None or owner["reason"] or owner["ended"]:
                self._late.add(mark)

    def _note_deployment(self, key: Name, after: dict[str, Any] | None) -> None:
        warm = after.get("warm") if after else None
        if warm:
            self._nonces.setdefault(key, set()).add((int(warm["epoch"]), str(warm["nonce"])))


def _leader(before: dict[str, Any], after: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    grew, same = after["transitions"] - before["transitions"], after["holder"] == before["holder"]
    # A leader that renewed too late, and finds no other leader, begins another term.
    if grew != int(bool(after["holder"]) and (not same or grew > 0)):
        yield (
            "leader",
            f"the leader's Lease went from {before['holder'] or 'nobody'} to {after['holder'] or 'nobody'}, and its"
            f" transitions from {before['transitions']} to {after['transitions']}",
            "leases/berth-operator",
        )


def _is_named(name: str, instance: str, deployment: dict[str, Any]) -> bool:
    """Whether the name alone assigns an object to a lease: an audit log has nothing else of Secrets."""
    epoch = deployment["epoch"]
    bases = (f"i-{instance}-e{epoch}", f"w-{deployment.get('id')}-e{epoch}")
    return any(name == base or name.startswith(f"{base}-") for base in bases)
