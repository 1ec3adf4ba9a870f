"""The operator's own client and certificates against the agent: both sides of the protocol as they ship."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import pytest
from cryptography.hazmat.primitives import serialization

from berth_core import names
from berth_core.firewall import Rule
from berth_core.resources.instance import InForce
from berth_operator.agents.certificates import Authority
from berth_operator.agents.client import AgentAddress, AgentClient, Push
from berth_operator.errors import AgentError, NotLeaderError, StaleError
from berth_operator.instances.firewall import desired

from .pod import EPOCH, INSTANCE, Pod

T = TypeVar("T")


def as_operator(
    pod: Pod,
    work: Callable[[AgentClient, AgentAddress], Awaitable[T]],
    *,
    epoch: int = EPOCH,
    before_write: Callable[[], None] | None = None,
) -> T:
    """Run with a client whose connections start outside the pod."""
    encoding, pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = pod.ca.key.private_bytes(encoding, pem, serialization.NoEncryption())
    authority = Authority(pod.ca.certificate.public_bytes(encoding), key)

    async def run() -> T:
        client = AgentClient(authority, before_write)
        try:
            return await work(client, AgentAddress(pod.ip, names.instance_object(INSTANCE), epoch))
        finally:
            await client.close()

    return pod.outside.call(lambda: asyncio.run(run()))


@pytest.fixture
def shipped(pod: Pod) -> Pod:
    """A pod whose agent has a certificate that the operator made."""
    encoding, pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key = pod.ca.key.private_bytes(encoding, pem, serialization.NoEncryption())
    pair = Authority(pod.ca.certificate.public_bytes(encoding), key).agent(
        names.instance_object(INSTANCE), EPOCH, datetime.now(UTC)
    )
    (pod.secret / "tls.crt").write_text(pair.certificate)
    (pod.secret / "tls.key").write_text(pair.key)
    pod.start()
    return pod


def push(generation: int, *rules: tuple[str, str], key: str = "ssh-ed25519 AAAA", notice: str = "") -> Push:
    body = desired.body([Rule.parse(*rule) for rule in rules], "198.18.200.9")
    return desired.push(body, EPOCH, generation, [key], notice)


@pytest.mark.alone
def test_a_push_of_the_operator_is_acknowledged(shipped: Pod) -> None:
    async def work(client: AgentClient, agent: AgentAddress) -> None:
        await client.push(agent, push(1, ("203.0.113.7", "ACCEPT")))
        await client.push(agent, push(2, ("203.0.113.8", "ACCEPT"), key="ssh-ed25519 BBBB"))

    as_operator(shipped, work)
    assert "203.0.113.8" in shipped.table()
    assert shipped.keys() == "ssh-ed25519 BBBB\n"


@pytest.mark.alone
def test_a_notice_comes_and_goes_under_one_generation(shipped: Pod) -> None:
    notice = shipped.run / "notice"

    async def work(client: AgentClient, agent: AgentAddress) -> None:
        await client.push(agent, push(1, ("203.0.113.7", "ACCEPT")))
        assert notice.read_text() == ""
        await client.push(agent, push(1, ("203.0.113.7", "ACCEPT"), notice="This lease ends soon.\n"))
        assert notice.read_text() == "This lease ends soon.\n"
        await client.push(agent, push(1, ("203.0.113.7", "ACCEPT")))
        assert notice.read_text() == ""

    as_operator(shipped, work)
    assert f"berth e{EPOCH} g1 " in shipped.table()


@pytest.mark.alone
def test_a_stale_push_tells_the_operator_what_is_in_force(shipped: Pod) -> None:
    newest = push(5, ("203.0.113.7", "ACCEPT"))

    async def work(client: AgentClient, agent: AgentAddress) -> None:
        await client.push(agent, newest)
        with pytest.raises(StaleError) as stale:
            await client.push(agent, push(4))
        assert (stale.value.generation, stale.value.digest) == (5, newest.digest)

    as_operator(shipped, work)


@pytest.mark.alone
def test_a_push_of_a_former_leader_never_replaces_one_of_its_heir(shipped: Pod) -> None:
    """However many it sent, and though an earlier version, which knew no terms, pushed before."""

    async def work(client: AgentClient, agent: AgentAddress) -> None:
        await client.push(agent, push(7, ("203.0.113.6", "ACCEPT")))
        known = InForce(generation=7, digest="of an earlier version")
        for _ in range(3):
            known = InForce(generation=desired.next_generation(1234, known, "another"), digest="its own")
        await client.push(agent, push(known.generation, ("203.0.113.7", "ACCEPT")))
        await client.push(agent, push(desired.next_generation(1240, None, ""), ("203.0.113.8", "ACCEPT")))
        with pytest.raises(StaleError) as told:
            await client.push(agent, push(desired.next_generation(1234, known, "more"), ("203.0.113.9", "ACCEPT")))
        assert desired.term_of(told.value.generation) == 1240

    as_operator(shipped, work)
    assert "203.0.113.8" in shipped.table()


@pytest.mark.alone
def test_one_that_leads_no_more_sends_nothing(shipped: Pod) -> None:
    before = shipped.table()

    def stop() -> None:
        raise NotLeaderError("another leads")

    async def work(client: AgentClient, agent: AgentAddress) -> None:
        with pytest.raises(NotLeaderError):
            await client.push(agent, push(1, ("203.0.113.7", "ACCEPT")))
        with pytest.raises(NotLeaderError):
            await client.refuse(agent, "a list", [])

    as_operator(shipped, work, before_write=stop)
    assert shipped.table() == before


@pytest.mark.alone
def test_the_operator_waits_for_a_listening_socket(shipped: Pod) -> None:
    async def work(client: AgentClient, agent: AgentAddress) -> bool:
        waiting = asyncio.create_task(client.listening(agent, 22))
        await client.push(agent, push(1))
        with shipped.inside.listen(22):
            return await waiting

    assert as_operator(shipped, work)


@pytest.mark.alone
def test_an_agent_of_another_epoch_is_not_taken_for_the_one_that_was_meant(shipped: Pod) -> None:
    async def work(client: AgentClient, agent: AgentAddress) -> None:
        with pytest.raises(AgentError, match="reached"):
            await client.push(agent, push(1))

    as_operator(shipped, work, epoch=EPOCH + 1)
    assert " g0 " in shipped.table()
