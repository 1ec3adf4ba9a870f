import asyncio

from berth_core.kube.containers import Container
from berth_core.resources import FirewallRule
from berth_core.resources.instance import InForce
from berth_operator.instances.memory import Memory

from ..samples import NOW, at, pod, rule


def filled() -> Memory:
    memory = Memory()
    memory.meet(pod(), NOW)
    memory.acknowledged, memory.listening, memory.path = InForce(generation=1, digest="d"), True, True
    return memory


def facts(memory: Memory) -> tuple[bool, bool, bool]:
    return memory.acknowledged is not None, memory.listening is not None, memory.path is not None


def test_nothing_is_forgotten_while_the_containers_live() -> None:
    memory = filled()
    memory.meet(pod(phase="Pending"), at(1))
    assert facts(memory) == (True, True, True)


def test_a_restarted_agent_must_acknowledge_again() -> None:
    memory = filled()
    memory.meet(pod(agent=Container("running", restarts=1)), at(1))
    assert facts(memory) == (False, True, True)


def test_an_agent_has_in_force_for_sure_only_the_last_that_was_sent() -> None:
    memory = filled()
    first, second = InForce(generation=1, digest="d"), InForce(generation=2, digest="e")
    memory.sent = first
    assert memory.in_force == first
    memory.sent = second
    assert memory.in_force is None
    memory.acknowledged = second
    assert memory.in_force == second
    # A late push is for the pod, whichever agent of it takes it.
    memory.meet(pod(agent=Container("running", restarts=1)), at(1))
    assert (memory.in_force, memory.sent) == (None, second)
    memory.meet(pod(uid="pod-2", created=at(9)), at(10))
    assert memory.sent is None


def test_a_restarted_or_ended_workspace_must_listen_again() -> None:
    for workspace in (Container("running", restarts=1), Container("terminated")):
        memory = filled()
        memory.meet(pod(workspace=workspace), at(1))
        assert facts(memory) == (True, False, True)


def test_only_the_first_workspace_container_that_a_process_sees_may_be_as_the_status_says() -> None:
    memory = Memory()
    memory.meet(pod(), NOW)
    assert memory.first_met
    memory.meet(pod(), at(1))
    assert memory.first_met
    memory.meet(pod(workspace=Container("running", restarts=1)), at(2))
    assert not memory.first_met


def test_of_another_pod_nothing_is_known() -> None:
    memory = filled()
    memory.meet(pod(uid="pod-2", created=at(9)), at(10))
    assert facts(memory) == (False, False, False)
    assert (memory.pod_created, memory.pod_ended) == (at(9), None)


def test_the_way_to_another_address_must_be_tried_again() -> None:
    memory = filled()
    memory.refused_since = 1.0
    memory.meet(pod(ip="10.0.0.8"), at(1))
    assert facts(memory) == (True, True, False)
    assert memory.refused_since is None


def test_the_end_of_a_pod_is_remembered_once() -> None:
    memory = filled()
    memory.meet(None, at(5))
    memory.meet(None, at(9))
    assert (memory.pod_created, memory.pod_ended) == (NOW, at(5))
    assert facts(memory)[:2] == (False, False)


async def test_a_probe_of_what_is_gone_is_stopped() -> None:
    memory = filled()

    async def endless() -> None:
        await asyncio.Event().wait()

    memory.probe = probe = asyncio.create_task(endless())
    memory.meet(pod(uid="pod-2"), at(1))
    await asyncio.gather(probe, return_exceptions=True)
    assert probe.cancelled()
    assert not memory.probing


def version(name: str, number: int) -> FirewallRule:
    return rule(name, "198.51.100.7", resourceVersion=str(number))


def test_what_was_just_made_counts_as_all_while_nothing_else_was_heard() -> None:
    made = version("first", 5)
    for heard in (list[FirewallRule](), [made]):
        memory = Memory()
        memory.rules_changed += len(heard)
        memory.presume_rules([made], [one.wire() for one in heard], 0)
        assert memory.rules == [made]
    without = Memory()
    without.presume_rules([], [], 0)
    assert without.rules == []


def test_rules_are_read_where_more_was_heard_than_was_made() -> None:
    made = version("first", 5)
    for heard in ([made, version("another", 6)], [version("first", 6)], [version("another", 4)]):
        memory = Memory()
        memory.presume_rules([made], [one.wire() for one in heard], 0)
        assert memory.rules is None
    deleted = Memory()
    deleted.outdate_rules(6)
    deleted.presume_rules([made], [], 0)
    assert deleted.rules is None, "it came and went"


def test_our_own_writes_are_no_news_and_those_of_others_are() -> None:
    memory = Memory()
    memory.presume_rules([version("first", 5)], [], 0)
    memory.keep_rule(version("first", 7))
    memory.keep_rule(version("first", 6))
    assert memory.knows_rule("first", "7")
    assert not memory.knows_rule("first", "6")
    memory.outdate_rules(8)
    memory.keep_rule(version("first", 8))
    assert memory.rules is None
    assert not memory.knows_rule("first", "8")
