"""The kubelet's calls over unix sockets, with a real gRPC client in the kubelet's place."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from kubelet import Kubelet

from berth_core.kube import errors
from berth_devices.claims import cdi
from berth_devices.claims.disk import Disk
from berth_devices.claims.record import ClaimError, Record, allocated
from berth_devices.discovery.facts import Facts, Rule
from berth_devices.discovery.inventory import present
from berth_devices.kubelet.plugin import Plugin
from berth_devices.kubelet.protos import dra_pb2 as dra
from berth_devices.kubelet.sockets import Paths, alone, serving
from berth_devices.stock import Stock

from .machines import ARM
from .test_claims import claim

NAME = present([ARM])[0].name


class OfLab:
    """Claims of a namespace, by name, in the place of the API server's."""

    def __init__(self, stock: Stock, claims: dict[str, Any]) -> None:
        self.stock, self.claims = stock, claims

    async def prepare(self, namespace: str, name: str, uid: str) -> Record:
        if name == "out-of-reach":
            raise errors.UnavailableError("no connection")
        if name not in self.claims:
            raise ClaimError(f"ResourceClaim {namespace}/{name} is gone: delete the pod")
        record = allocated(self.claims[name], uid=uid, pool="node-1")
        await self.stock.prepare(record)
        return record

    async def unprepare(self, uid: str) -> None:
        await self.stock.unprepare(uid)


def of_lab(name: str, uid: str) -> dra.Claim:
    return dra.Claim(namespace="lab", name=name, uid=uid)


@pytest.fixture
def paths() -> Iterator[Paths]:
    # A socket's path has a bound, and those of pytest's folders are long.
    with tempfile.TemporaryDirectory(prefix="k-") as folder:
        found = Paths(Path(folder))
        found.check()
        yield found


@pytest.fixture
async def plugin(paths: Paths, tmp_path: Path) -> AsyncIterator[Plugin]:
    stock = Stock(lambda: [ARM], [Rule("tty")], Disk(paths.state, tmp_path / "cdi"))
    claims = {"arm": claim({"device": NAME}, uid="u1"), "second": claim({"device": NAME}, uid="u2", name="second")}
    made = Plugin(OfLab(stock, claims), "node-1", str(paths.service))
    async with serving(made, paths):
        yield made


async def test_the_kubelet_finds_the_service_by_the_registration(plugin: Plugin, paths: Paths) -> None:
    kubelet = Kubelet(paths.registration)
    info = await kubelet.info()
    assert (info.type, info.name, info.endpoint) == ("DRAPlugin", "devices.berth.dev", str(paths.service))
    assert list(info.supported_versions) == ["v1.DRAPlugin", "v1beta1.DRAPlugin"]
    await kubelet.tell(True)
    assert plugin.registered.is_set()
    await kubelet.tell(False, "another plugin has the name")
    assert not plugin.registered.is_set()


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_a_claim_is_prepared_and_unprepared_in_both_versions(paths: Paths, tmp_path: Path, version: str) -> None:
    kubelet, arm = Kubelet(paths.service, version), of_lab("arm", "u1")
    for _ in range(2):  # the kubelet asks again after its own restart
        answer = await kubelet.prepare(arm)
        (device,) = answer.devices
        assert (answer.error, device.pool_name, device.device_name) == ("", "node-1", NAME)
        assert list(device.request_names) == ["device"]
        assert list(device.cdi_device_ids) == [f"devices.berth.dev/claim=u1-{NAME}"]
    content = json.loads((tmp_path / "cdi" / cdi.file_name("u1")).read_bytes())
    assert f"{content['kind']}={content['devices'][0]['name']}" == device.cdi_device_ids[0]
    for _ in range(2):
        assert await kubelet.unprepare(arm) == ""
    assert not (tmp_path / "cdi" / cdi.file_name("u1")).exists()


@pytest.mark.usefixtures("plugin")
async def test_a_claim_that_fails_says_why_and_keeps_no_other_from_its_device(paths: Paths) -> None:
    given = {"gone": "u0", "out-of-reach": "u3", "arm": "u1", "second": "u2", "..": "../x"}
    answers = await Kubelet(paths.service).prepare_all(of_lab(name, uid) for name, uid in given.items())
    assert set(answers) == set(given.values())
    assert "is gone" in answers["u0"].error
    assert "no connection" in answers["u3"].error
    assert answers["u1"].error == ""
    assert "in use by ResourceClaim lab/arm" in answers["u2"].error
    assert not any(answers[uid].devices for uid in ("u0", "u2", "u3", "../x"))


async def test_the_sockets_of_a_killed_process_are_in_nobodys_way(paths: Paths, tmp_path: Path) -> None:
    for path in (paths.service, paths.registration):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("left")
    stock = Stock(lambda: [Facts(**vars(ARM))], [Rule("tty")], Disk(paths.state, tmp_path / "cdi"))
    async with serving(Plugin(OfLab(stock, {}), "node-1", str(paths.service)), paths):
        assert (await Kubelet(paths.registration).info()).name == "devices.berth.dev"
    assert not paths.registration.exists()


async def test_one_process_of_a_node_runs_at_a_time(paths: Paths) -> None:
    entered = asyncio.Event()

    async def second() -> None:
        async with alone(paths):
            entered.set()

    async with alone(paths):
        waiting = asyncio.create_task(second())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await entered.wait()
    await waiting


def test_a_folder_with_too_long_a_path_is_refused() -> None:
    with pytest.raises(ValueError, match="BERTH_KUBELET_DIR"):
        Paths(Path("/x" * 60)).check()
