"""The keeper alone: what it sends, where it never connects to, and what it says of a relay that does not obey."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from berth_core.kube.connection import connected
from berth_core.kube.errors import ForbiddenError
from berth_core.kube.model import timestamp
from berth_core.kube.types import Object
from berth_core.resources import Relay as Resource
from berth_core.resources import RelaySpec, manifest

from ..operator.lab import RELAYS, SECRETS, Lab, condition
from .bench import SECRET
from .process import Keepers, keep
from .relay import Relay, relay

pytestmark = pytest.mark.apiserver


@pytest.fixture
async def plain(tmp_path: Path) -> AsyncIterator[Relay]:
    """A relay without TLS."""
    async with relay(tmp_path, tls=False) as made:
        yield made


async def kept(lab: Lab, name: str = "one", do: str | None = None) -> Object:
    """A Relay of a deployment of its name, as the operator makes it."""
    spec = RelaySpec.model_validate({"deployment": name, "addon": "power", "secret": SECRET, "on_lease_end": do})
    return await lab.client.create(RELAYS, lab.namespace, manifest(Resource, lab.namespace, name, spec))


async def ask(lab: Lab, do: str, name: str = "one", *, end: bool = True, ago: float = 0.0) -> int:
    """Ask for something, as the operator does; the request's number."""
    obj = await lab.client.get(RELAYS, lab.namespace, name)
    before = obj["spec"].get("request") or {"number": 0, "epoch": 0}
    since = timestamp(datetime.now(UTC) - timedelta(seconds=ago))
    request = {"epoch": before["epoch"] + 1, "number": before["number"] + 1, "do": do, "end": end, "since": since}
    await lab.client.patch(RELAYS, lab.namespace, name, {"spec": {"request": request}})
    return int(request["number"])


async def usable(lab: Lab, reason: str, seconds: float = 40) -> str:
    """Wait until the keeper says so of the relay; its message."""
    obj = await lab.until(RELAYS, "one", lambda o: condition(o, "Usable") == reason, seconds=seconds)
    return str(condition(obj, "Usable", "message"))


async def done(lab: Lab, number: int, reason: str, name: str = "one", seconds: float = 40) -> Object:
    """Wait until an attempt at a request has ended so."""

    def holds(obj: Object) -> bool:
        status = obj.get("status") or {}
        return status.get("number") == number and condition(obj, "Done") == reason and "attemptUntil" not in status

    return await lab.until(RELAYS, name, holds, seconds=seconds)


async def test_it_does_what_it_is_asked_once_and_shows_the_state(lab: Lab, keepers: Keepers, pdu: Relay) -> None:
    keepers.start()
    await keep(lab, SECRET, pdu.secret(f"{lab.namespace}/one", state=pdu.state()))
    await kept(lab, do="off")
    assert await usable(lab, "Usable") == "its Secret says how to work it"
    obj = await done(lab, await ask(lab, "off"), "Switched")
    assert condition(obj, "Done", "message") == "the relay says that power is off"
    assert (obj["status"]["attempts"], pdu.heard, pdu.tokens) == (1, ["off"], ["Bearer hunter2"])
    await done(lab, await ask(lab, "cycle", end=False), "Switched")
    assert (pdu.heard, pdu.power) == (["off", "cycle"], "on")
    nothing = await ask(lab, "nothing")
    await done(lab, await ask(lab, "off"), "Switched")
    assert (nothing, pdu.heard) == (3, ["off", "cycle", "off"])


async def test_a_relay_that_takes_an_order_and_does_not_obey_is_not_believed(
    lab: Lab, keepers: Keepers, pdu: Relay
) -> None:
    keepers.start()
    await keep(lab, SECRET, pdu.secret(f"{lab.namespace}/one", state=pdu.state()))
    await kept(lab)
    pdu.obeys = False
    obj = await done(lab, await ask(lab, "off"), "StateDiffers")
    assert condition(obj, "Done", "status") == "False"
    pdu.obeys = True
    await done(lab, 1, "Switched")


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (500, "Answered", "the relay answered 500"),
        (302, "Answered", "the relay answered 302; redirects are not followed"),
        (0, "TimedOut", "the relay did not answer within 15 s"),
    ],
)
async def test_a_relay_that_fails_is_asked_again(
    lab: Lab, keepers: Keepers, pdu: Relay, plain: Relay, status: int, reason: str, message: str
) -> None:
    keepers.start()
    await keep(lab, SECRET, pdu.secret(f"{lab.namespace}/one"))
    await kept(lab)
    pdu.status, pdu.location = status, f"{plain.url}/outlet/off"
    number = await ask(lab, "off")
    obj = await done(lab, number, reason)
    assert condition(obj, "Done", "message") == message
    assert "hunter2" not in str(obj)
    pdu.status, pdu.location = 200, ""
    pdu.released.set()
    obj = await done(lab, number, "Switched")
    assert obj["status"]["attempts"] >= 2
    assert plain.heard == [], "a redirect leads nowhere"


async def test_only_a_certificate_of_the_secret_s_own_authority_counts(
    lab: Lab, keepers: Keepers, pdu: Relay, tmp_path: Path
) -> None:
    keepers.start()
    async with relay(tmp_path / "another") as another:
        await keep(lab, SECRET, pdu.secret(f"{lab.namespace}/one") | {"ca.crt": another.ca})
        await kept(lab)
        obj = await done(lab, await ask(lab, "off"), "TlsFailed")
        assert "does not verify by ca.crt" in str(condition(obj, "Done", "message"))
        assert pdu.heard == [], "no credential was sent"
        await keep(lab, SECRET, pdu.secret(f"{lab.namespace}/one"))
        await done(lab, 1, "Switched")


async def test_a_name_serves_tls_alone_and_the_connection_goes_to_the_secret_s_address(
    lab: Lab, keepers: Keepers, tmp_path: Path
) -> None:
    keepers.start()
    async with relay(tmp_path, names=("pdu.lab.invalid", "localhost.lab.invalid")) as named:
        url = f"https://pdu.lab.invalid:{named.port}/outlet/off"
        off = json.dumps({"method": "POST", "url": url})
        data = {"off": off, "ca.crt": named.ca, "deployments": f"{lab.namespace}/one"}
        await keep(lab, SECRET, data)
        await kept(lab, do="off")
        assert "names are not asked for: add its address" in await usable(lab, "SecretUnusable")
        await keep(lab, SECRET, data | {"address": named.host})
        await done(lab, await ask(lab, "off"), "Switched")
        assert named.heard == ["off"]


@pytest.mark.parametrize(
    ("host", "reason", "words"),
    [
        ("203.0.113.7", "RelayForbidden", "outside of the networks of machines"),
        ("127.0.0.1", "RelayForbidden", "it is loopback"),
        ("169.254.169.254", "RelayForbidden", "link-local"),
        ("[::ffff:198.18.200.1]", "RelayForbidden", "an IPv4 address inside"),
        ("198.18.250.9", "RelayForbidden", "instances.blockedCidrs"),
        ("localhost", "SecretUnusable", "can be read in one way only"),
        ("0x7f.1", "SecretUnusable", "can be read in one way only"),
    ],
)
async def test_it_never_connects_elsewhere(
    lab: Lab, keepers: Keepers, plain: Relay, host: str, reason: str, words: str
) -> None:
    keepers.start(BERTH_BLOCKED_CIDRS="198.18.250.0/24")
    data = plain.secret(f"{lab.namespace}/one")
    data = {key: value.replace(plain.host, host) for key, value in data.items()}
    await keep(lab, SECRET, data)
    await kept(lab)
    assert words in await usable(lab, reason)
    await done(lab, await ask(lab, "off"), reason)
    assert plain.heard == []


async def test_a_relay_that_is_made_anew_is_looked_at_at_once(lab: Lab, keepers: Keepers, plain: Relay) -> None:
    keepers.start()
    await keep(lab, SECRET, plain.secret(f"{lab.namespace}/one"))
    await kept(lab)
    await usable(lab, "Usable")
    for do in ("on", "off", "cycle"):
        await lab.client.delete(RELAYS, lab.namespace, "one")
        await kept(lab, do=do)
        await usable(lab, "Usable", seconds=10)


async def test_a_secret_serves_the_deployments_that_it_names_and_no_other(
    lab: Lab, keepers: Keepers, plain: Relay
) -> None:
    keepers.start()
    await keep(lab, SECRET, plain.secret(f"{lab.namespace}/other, {lab.namespace}/one-more\nelsewhere/one"))
    await kept(lab)
    assert f"adds {lab.namespace}/one to its key deployments" in await usable(lab, "SecretRefused")
    await done(lab, await ask(lab, "off"), "SecretRefused")
    assert plain.heard == []


async def test_plain_http_needs_the_secret_s_word(lab: Lab, keepers: Keepers, plain: Relay) -> None:
    keepers.start()
    data = plain.secret(f"{lab.namespace}/one")
    await keep(lab, SECRET, data | {"plain": "false"})
    await kept(lab)
    assert "use https, or set the key plain to true" in await usable(lab, "SecretUnusable")
    await done(lab, await ask(lab, "on"), "SecretUnusable")
    assert plain.heard == []
    await keep(lab, SECRET, data)
    await done(lab, 1, "Switched")
    assert plain.heard == ["on"]


async def test_two_keepers_never_work_one_relay_at_once(lab: Lab, keepers: Keepers, plain: Relay) -> None:
    keepers.start()
    keepers.start()
    await keepers.ready()
    await keep(lab, SECRET, plain.secret(f"{lab.namespace}/one"))
    await kept(lab)
    for number, do in enumerate(("off", "on") * 5, start=1):
        obj = await done(lab, await ask(lab, do), "Switched")
        assert obj["status"]["attempts"] == 1
        assert len(plain.heard) == number
    plain.status = 0
    await ask(lab, "off")
    await plain.until(lambda: len(plain.heard) == 11)
    with pytest.raises(TimeoutError):
        await plain.until(lambda: len(plain.heard) == 12, seconds=5)


async def test_a_holder_s_request_is_not_tried_for_ever_and_a_late_one_not_at_all(
    lab: Lab, keepers: Keepers, plain: Relay
) -> None:
    keepers.start()
    await keep(lab, SECRET, plain.secret(f"{lab.namespace}/one", f"{lab.namespace}/two"))
    for name in ("one", "two"):
        await kept(lab, name)
    late = await ask(lab, "on", end=False, ago=61)
    await done(lab, await ask(lab, "on", "two", end=False), "Switched", "two")
    assert plain.heard == ["on"]
    still = Resource.parse(await lab.client.get(RELAYS, lab.namespace, "one"))
    assert (late, still.status.number) == (1, None)
    await done(lab, await ask(lab, "off", end=True, ago=3600), "Switched")


async def test_a_slow_relay_holds_up_no_other(lab: Lab, keepers: Keepers, plain: Relay, tmp_path: Path) -> None:
    keepers.start()
    async with relay(tmp_path / "another", tls=False) as slow:
        slow.status = 0
        names = f"{lab.namespace}/one", f"{lab.namespace}/two"
        await keep(lab, SECRET, plain.secret(*names))
        await keep(lab, "slow", slow.secret(*names))
        await kept(lab)
        spec = RelaySpec.model_validate({"deployment": "two", "addon": "power", "secret": "slow"})
        await lab.client.create(RELAYS, lab.namespace, manifest(Resource, lab.namespace, "two", spec))
        await ask(lab, "off", "two")
        await slow.until(lambda: slow.heard)
        await done(lab, await ask(lab, "off"), "Switched", seconds=10)


async def test_it_ends_as_it_should_while_an_attempt_goes_on(lab: Lab, keepers: Keepers, plain: Relay) -> None:
    process = keepers.start()
    await keep(lab, SECRET, plain.secret(f"{lab.namespace}/one"))
    await kept(lab)
    plain.status = 0
    number = await ask(lab, "off")
    await plain.until(lambda: plain.heard)
    process.terminate()
    plain.status = 200
    plain.released.set()
    await done(lab, number, "Switched")
    assert await asyncio.to_thread(process.wait, 20) == 0


async def test_its_rights_are_the_secrets_of_one_namespace_by_name_and_relays(lab: Lab, keepers: Keepers) -> None:
    await keep(lab, SECRET, {"on": "{}"})
    await kept(lab)
    async with connected("berth-keeper", str(keepers.kubeconfig)) as client:
        assert (await client.get(SECRETS, lab.namespaces.keeper, SECRET))["data"]
        for namespace in (lab.namespaces.keeper, lab.namespaces.release, lab.namespaces.access, lab.namespace):
            with pytest.raises(ForbiddenError):
                await client.list(SECRETS, namespace)
        for namespace in (lab.namespaces.release, lab.namespaces.access, lab.namespace):
            with pytest.raises(ForbiddenError):
                await client.get(SECRETS, namespace, "any")
        with pytest.raises(ForbiddenError):
            await client.patch(RELAYS, lab.namespace, "one", {"metadata": {"labels": {"a": "b"}}})
