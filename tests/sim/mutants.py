"""The table of mutants: deliberate mistakes in the real code, each of which some history must find."""

from typing import Final

from .mutating import Mutant

LEASING: Final = "berth_core.leasing"
ENDING: Final = "berth_operator.ending"
ORPHAN: Final = "berth_operator.orphans:_undo"
STARTING: Final = "berth_operator.starting"
LIFE: Final = "berth_operator.lifespan"

MUTANTS: Final = (
    Mutant(
        "lease taken without compare-and-swap",
        f"{LEASING}:_swap",
        '"metadata": {"resourceVersion": wd.metadata.resource_version},',
        '"metadata": {},',
    ),
    Mutant("epoch not counted", f"{LEASING}:take", "wd.status.epoch + 1", "wd.status.epoch + 2"),
    Mutant(
        "given back whoever has it",
        f"{LEASING}:give_back",
        "held is None or held.instance != instance or wd.status.epoch != lease.epoch",
        "held is None",
        faults="kill,lose,stop,held",
    ),
    Mutant(
        "given back before it is shut",
        f"{ENDING}:tear_down",
        "if not await shut(world, namespace, instance.public_id, lease_of):",
        "if not await shut(world, namespace, instance.public_id, lease_of) and False:",
    ),
    Mutant(
        "ended without sweeping",
        f"{ENDING}:tear_down",
        "or not await sweep(world, namespace, instance.public_id, lease_of)",
        "",
    ),
    Mutant("pods are not looked for", f"{ENDING}:", "(SERVICES, SECRETS, JOBS, PODS)", "(SERVICES, SECRETS, JOBS)"),
    Mutant("Secrets are not looked for", f"{ENDING}:", "(SERVICES, SECRETS, JOBS, PODS)", "(SERVICES, JOBS, PODS)"),
    Mutant(
        "no second look at what is left",
        f"{ENDING}:_gone",
        "        left = await _left(world, namespace, labels)\n    if left := [",
        "        left = []\n    if left := [",
    ),
    Mutant("hooks after the end are not waited for", f"{ENDING}:tear_down", "outcome is None or", "False or"),
    Mutant(
        "finalizer dropped early",
        "berth_operator.removing:remove_pod",
        "if pod is None or not pod.deleting or not pod.harmless:",
        "if pod is None or not pod.deleting:",
    ),
    Mutant(
        "a pod that waits to start is harmless",
        "berth_operator.decide.seen:PodView.harmless",
        'if self.collected or self.phase not in ("Failed", "Succeeded"):',
        "if self.collected:",
    ),
    Mutant(
        "check of leadership removed",
        "berth_operator.leading:Leadership.check",
        "if not self.held:",
        "if False:",
        which="core",
        faults="stop,stopw",
    ),
    Mutant(
        "leadership is taken at once",
        "berth_operator.leading:Leadership._try",
        "sent - self._seen_at < LEASE_SECONDS",
        "False",
        which="core",
    ),
    Mutant("orphans look in the cache", ORPHAN, "await world.client.list(INSTANCES, namespace)", "([], '')"),
    Mutant(
        "orphans are not cleared",
        ORPHAN,
        "    if not living(same) and not await clear(world, namespace, lease.instance, taken):\n"
        "        return CLEARING_SECONDS\n"
        "    if not await clear_epoch(world, namespace, taken):\n"
        "        return CLEARING_SECONDS\n",
        "",
        faults="kill,lose,apikill,held",
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
        "berth_operator.decide.orphan:",
        "PATIENCE_SECONDS: Final = 30.0",
        "PATIENCE_SECONDS: Final = 0.0",
        which="d1",
    ),
    Mutant(
        "orphans age from claimedAt",
        "berth_operator.orphans:attend",
        "world.missing.age(orphan, time.monotonic())",
        "(world.now() - leasing.datetime.fromisoformat(wd.status.lease.claimed_at)).total_seconds()",
        which="d1",
    ),
    Mutant(
        "orphans are never given back",
        "berth_operator.decide.orphan:",
        "PATIENCE_SECONDS: Final = 30.0",
        "PATIENCE_SECONDS: Final = 3e6",
        faults="apikill,lose",
    ),
    Mutant(
        "the pod is made before the compare-and-swap",
        f"{STARTING}:_bind_cold",
        "    await _name_secrets(world,",
        "    await _make_pod(world, replace(lease, instance=instance))\n    await _name_secrets(world,",
        faults="vm,vmw,held",
    ),
    Mutant(
        "Secrets have no nonce of their own",
        "berth_operator.making:new_nonce",
        "return token_hex(4)",
        'return "00000000"',
        faults="vm,vmw,held",
    ),
    Mutant(
        "term left out of the generation",
        "berth_operator.build.firewall:next_generation",
        "floor = term << CHANGES_BITS",
        "floor = 0",
        faults="stop,stopw,vm,vmw,held",
    ),
    Mutant(
        "a deleted deployment goes while something of it is left",
        f"{LIFE}:finish",
        "if left := await traces.live(world.client, wd.metadata.namespace, wd.metadata.name):",
        "if left := []:",
    ),
    Mutant(
        "a deleted deployment goes while somebody has it",
        f"{LIFE}:finish",
        "if wd.status.lease is not None or names.FENCE_FINALIZER not in wd.metadata.finalizers:\n"
        "        return None\n"
        "    if left := await traces.live(world.client, wd.metadata.namespace, wd.metadata.name):",
        "if left := []:",
    ),
    Mutant("deployments are lent without their finalizer", f"{LEASING}:availability", "not wd.has_begun", "False"),
    Mutant(
        "who was refused once is refused for good",
        "berth_operator.decide.orphan:Refusals.confirmed",
        ">= CONFIRM_SECONDS",
        ">= 0.0",
        faults="refuse",
    ),
    Mutant(
        "warm pods of the epoch are not looked for",
        f"{ENDING}:_gone",
        "if lease is not None and _warm_name(world, namespace, lease) is not None:",
        "if False:",
    ),
    Mutant(
        "nobody wakes the deployment of an Instance that ended before it was bound",
        "berth_operator.wake:_instance",
        'world.store.by(DEPLOYMENTS, "holder", public_id, namespace)',
        "()",
        faults="kill,lose",
    ),
    Mutant(
        "undone though the Instance may come",
        "berth_api.services.launching:_make",
        "made_surely_not |= not isinstance(error, cluster.UnavailableError)",
        "made_surely_not = True",
        faults="lose,refuse",
    ),
    Mutant(
        "a newcomer does not look who waits",
        "berth_api.services.admission:admit",
        "_is_clear(state, wish, kind, present) or await _is_clear_live(wish, kind, present, live)",
        "True",
    ),
    Mutant(
        "who came last is served first",
        "berth_core.queue:turn_of",
        "int(parse_time(place.since).timestamp()), place.version",
        "-int(parse_time(place.since).timestamp()), place.version",
    ),
    Mutant(
        "the queue is ordered by name",
        "berth_core.queue:turn_of",
        "int(parse_time(place.since).timestamp()), place.version",
        "0, 0",
    ),
    Mutant(
        "quota counts no leases",
        "berth_core.slots:need_room",
        "len(leases | pending) >= quota.most",
        "len(pending) >= quota.most",
    ),
    Mutant(
        "a lease counts though its slot is gone",
        "berth_core.slots:Claimant._confirm",
        "if Slot(instance=self._instance, type=quota.type) not in account.status.slots:",
        "if False:",
        which="pause",
    ),
    Mutant(
        "a lease of a former leader counts whatever its user has",
        "berth_operator.taking:beyond_quota",
        "return str(error)",
        'return ""',
        which="pause",
    ),
    Mutant(
        "an Instance keeps a lease that is beyond its user's quota",
        "berth_operator.decide.instance:unbound",
        "Step.MARK",
        "Step.WAIT",
        which="pause",
    ),
    Mutant(
        "a grant that came late does not look whether its lease went back",
        "berth_operator.reservations:grant",
        "if await _held(world, namespace, lease, instance) is None:",
        "if False:",
        which="pause",
    ),
    Mutant("an answer is not kept", "berth_api.repeats:judge", "if record.answer is not None:", "if False:"),
    Mutant(
        "nothing is looked for before a repeat",
        "berth_api.idempotency:Idempotent._answer",
        "made = await recovery.answer_of(state, exchange.digest)",
        "made = None",
        faults="lose,apikill",
    ),
    Mutant(
        "rules that change are not read again",
        "berth_operator.memory:Memory.outdate_rules",
        "self.rules = None",
        "pass",
    ),
    Mutant(
        "a lost claim is not noticed",
        "berth_operator.decide.instance:",
        "    unbound,\n    fenced_out,",
        "    unbound,",
        faults="kill,held,stop,apistop",
    ),
    Mutant(
        "warm pods of old epochs stay",
        "berth_operator.decide.warm:decide",
        "if one.epoch != next_epoch:\n            remove.append(one.epoch)",
        "if one.epoch != next_epoch:\n            pass",
    ),
    Mutant(
        "news of old versions count",
        "berth_operator.store:Store.hear",
        "if known > version:\n            return False",
        "if known > version:\n            self._keep(kind, key, obj)",
    ),
    Mutant(
        "a pod of another epoch serves on",
        "berth_operator.decide.instance:pod_is_over",
        "pod.over or pod.epoch != seen.instance.status.epoch",
        "pod.over",
    ),
    Mutant("lost pods are not made again", "berth_operator.decide.instance:pod_is_over", "Step.RETIRE", "Step.REPORT"),
)
