"""The table of mutants: deliberate mistakes in the real code, each of which some history must find."""

from typing import Final

from .mutating import Mutant

LEASING: Final = "berth_core.leasing"
ENDING: Final = "berth_operator.ending"
ORPHAN: Final = "berth_operator.orphans._undo"
STARTING: Final = "berth_operator.starting"
LIFE: Final = "berth_operator.lifespan"

MUTANTS: Final = (
    Mutant(
        "lease taken without compare-and-swap",
        f"{LEASING}._swap",
        '"metadata": {"resourceVersion": wd.metadata.resource_version},',
        '"metadata": {},',
        which="terms-end",
    ),
    Mutant("epoch not counted", f"{LEASING}.take", "wd.status.epoch + 1", "wd.status.epoch + 2", which="queue"),
    Mutant(
        "given back whoever has it",
        f"{LEASING}.give_back",
        "held is None or held.instance != instance or wd.status.epoch != lease.epoch",
        "held is None",
        which="terms-end",
    ),
    Mutant(
        "given back before it is shut",
        f"{ENDING}.tear_down",
        "if not await shut(world, namespace, instance.public_id, lease_of):",
        "if not await shut(world, namespace, instance.public_id, lease_of) and False:",
        which="terms-end",
    ),
    Mutant(
        "ended without sweeping",
        f"{ENDING}.tear_down",
        "or not await sweep(world, namespace, instance.public_id, lease_of)",
        "",
        which="terms-end",
    ),
    Mutant(
        "pods are not looked for",
        ENDING,
        "(SERVICES, SECRETS, JOBS, PODS)",
        "(SERVICES, SECRETS, JOBS)",
        which="machines",
    ),
    Mutant(
        "Secrets are not looked for",
        ENDING,
        "(SERVICES, SECRETS, JOBS, PODS)",
        "(SERVICES, JOBS, PODS)",
        which="machines",
    ),
    Mutant(
        "no second look at what is left",
        f"{ENDING}._gone",
        "        left = await _left(world, namespace, labels)\n    if left := [",
        "        left = []\n    if left := [",
        which="machines",
    ),
    Mutant(
        "hooks after the end are not waited for",
        f"{ENDING}.tear_down",
        "outcome is None or",
        "False or",
        which="machines",
    ),
    Mutant(
        "finalizer dropped early",
        "berth_operator.removing.remove_pod",
        "if pod is None or not pod.deleting or not pod.harmless:",
        "if pod is None or not pod.deleting:",
        which="terms-end",
    ),
    Mutant(
        "orphans are not cleared",
        ORPHAN,
        "    if not living(same) and not await clear(world, namespace, lease.instance, taken):\n"
        "        return CLEARING_SECONDS\n"
        "    if not await clear_epoch(world, namespace, taken):\n"
        "        return CLEARING_SECONDS\n",
        "",
        which="machines",
    ),
    Mutant("no tombstone is made", ORPHAN, "if not same and ids.is_drawn", "if False and ids.is_drawn", which="late"),
    Mutant(
        "who makes the tombstone gives the lease back",
        ORPHAN,
        "lease.instance, lease.user):\n        return CLEARING_SECONDS",
        "lease.instance, lease.user):\n        pass",
        which="late",
    ),
    Mutant(
        "a lease is an orphan at once",
        "berth_operator.decide.orphan",
        "PATIENCE_SECONDS: Final = 30.0",
        "PATIENCE_SECONDS: Final = 0.0",
        which="d1",
    ),
    Mutant(
        "orphans age from claimedAt",
        "berth_operator.orphans.attend",
        "world.missing.age(orphan, time.monotonic())",
        "(world.now() - leasing.datetime.fromisoformat(wd.status.lease.claimed_at)).total_seconds()",
        which="d1",
    ),
    Mutant(
        "orphans are never given back",
        "berth_operator.decide.orphan",
        "PATIENCE_SECONDS: Final = 30.0",
        "PATIENCE_SECONDS: Final = 3e6",
        which="calls",
    ),
    Mutant(
        "the pod is made before the compare-and-swap",
        f"{STARTING}._bind_cold",
        "    await _name_secrets(world,",
        "    await _make_pod(world, replace(lease, instance=instance))\n    await _name_secrets(world,",
        which="terms-open",
    ),
    Mutant(
        "Secrets have no nonce of their own",
        "berth_operator.making.new_nonce",
        "return token_hex(4)",
        'return "00000000"',
        which="terms-late",
    ),
    Mutant(
        "term left out of the generation",
        "berth_operator.build.firewall.next_generation",
        "floor = term << CHANGES_BITS",
        "floor = 0",
        which="terms-rules",
    ),
    Mutant(
        "a deleted deployment goes while something of it is left",
        f"{LIFE}.finish",
        "if left := await traces.live(world.client, wd.metadata.namespace, wd.metadata.name):",
        "if left := []:",
        which="machines",
    ),
    Mutant(
        "a deleted deployment goes while somebody has it",
        f"{LIFE}.finish",
        "if wd.status.lease is not None or names.FENCE_FINALIZER not in wd.metadata.finalizers:\n"
        "        return None\n"
        "    if left := await traces.live(world.client, wd.metadata.namespace, wd.metadata.name):",
        "if left := []:",
        which="machines",
    ),
    Mutant(
        "deployments are lent without their finalizer",
        f"{LEASING}.availability",
        "not wd.has_begun",
        "False",
        which="machines",
    ),
    Mutant(
        "who was refused once is refused for good",
        "berth_operator.decide.orphan.Refusals.confirmed",
        ">= CONFIRM_SECONDS",
        ">= 0.0",
        which="queue",
    ),
    Mutant(
        "warm pods of the epoch are not looked for",
        f"{ENDING}._gone",
        "if lease is not None and _warm_name(world, namespace, lease) is not None:",
        "if False:",
        which="machines",
    ),
    Mutant(
        "nobody wakes the deployment of an Instance that ended before it was bound",
        "berth_operator.wake._instance",
        'world.store.by(DEPLOYMENTS, "holder", public_id, namespace)',
        "()",
        which="machines",
    ),
    Mutant(
        "a tombstone is taken for the Instance that was asked for",
        "berth_api.services.launching._create",
        "if found is None or not mine or tombstones.is_tombstone(found):",
        "if found is None:",
        which="late",
    ),
    Mutant(
        "a newcomer does not look who waits",
        "berth_api.services.admission.admit",
        "_is_clear(state, wish, kind, present) or await _is_clear_live(wish, kind, present, live)",
        "True",
        which="queue",
    ),
    Mutant(
        "who came last is served first",
        "berth_core.queue.turn_of",
        "int(parse_time(place.since).timestamp()), place.version",
        "-int(parse_time(place.since).timestamp()), place.version",
        which="queue",
    ),
    Mutant(
        "the queue is ordered by name",
        "berth_core.queue.turn_of",
        "int(parse_time(place.since).timestamp()), place.version",
        "0, 0",
        which="queue",
    ),
    Mutant(
        "quota counts no leases",
        "berth_core.slots.need_room",
        "len(leases | pending) >= quota.most",
        "len(pending) >= quota.most",
        which="queue",
    ),
    Mutant(
        "an answer is not kept", "berth_api.repeats.judge", "if record.answer is not None:", "if False:", which="calls"
    ),
    Mutant(
        "a lease counts though its slot is gone",
        "berth_core.slots.Claimant._confirm",
        "if Slot(instance=self._instance, type=quota.type) not in account.status.slots:",
        "if False:",
        which="pause",
    ),
    Mutant(
        "a lease of a former leader counts whatever its user has",
        "berth_operator.taking.beyond_quota",
        "return str(error)",
        'return ""',
        which="pause",
    ),
    Mutant(
        "nothing is looked for before a repeat",
        "berth_api.idempotency.Idempotent._answer",
        "made = await recovery.answer_of(state, exchange.digest)",
        "made = None",
        which="calls",
    ),
    Mutant(
        "rules that change are not read again",
        "berth_operator.memory.Memory.outdate_rules",
        "self.rules = None",
        "pass",
        which="terms-rules",
    ),
    Mutant(
        "a lost claim is not noticed",
        "berth_operator.decide.instance",
        "    unbound,\n    fenced_out,",
        "    unbound,",
        which="calls",
    ),
    Mutant(
        "warm pods of old epochs stay",
        "berth_operator.decide.warm.decide",
        "if one.epoch != next_epoch:\n            remove.append(one.epoch)",
        "if one.epoch != next_epoch:\n            pass",
        which="machines",
    ),
    Mutant(
        "news of old versions count",
        "berth_operator.store.Store.hear",
        "if known > version:\n            return False",
        "if known > version:\n            self._keep(kind, key, obj)",
        which="machines",
    ),
    Mutant(
        "a pod of another epoch serves on",
        "berth_operator.decide.instance.pod_is_over",
        "pod.over or pod.epoch != seen.instance.status.epoch",
        "pod.over",
        which="machines",
    ),
    Mutant(
        "lost pods are not made again",
        "berth_operator.decide.instance.pod_is_over",
        "Step.RETIRE",
        "Step.REPORT",
        which="machines",
    ),
)
