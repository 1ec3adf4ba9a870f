"""The one client of the cluster's API: errors that callers can tell apart, writes that can be repeated."""

import asyncio
import socket
from email.utils import parsedate_to_datetime
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from berth_core.kube import errors
from berth_core.kube.client import Client
from berth_core.kube.connection import connect, connected
from berth_core.kube.types import Kind, Object
from berth_core.resources import Instance, WorkspaceDeployment
from berth_dev.envtest.apiserver import ApiServer

from .objects import create, manifest, patch
from .proxy import Proxy

SECRETS = Kind("v1", "secrets")
CONFIGMAPS = Kind("v1", "configmaps")
DEPLOYMENTS = WorkspaceDeployment.api()


async def test_what_is_not_there(client: Client, namespace: str) -> None:
    with pytest.raises(errors.NotFoundError):
        await client.get(DEPLOYMENTS, namespace, "nothing")
    with pytest.raises(errors.NotFoundError):
        await client.list(Kind("berth.dev/v1alpha1", "robots"), namespace)


async def test_a_list_that_need_not_be_the_newest_shows_what_was_known_already(client: Client, namespace: str) -> None:
    made = await create(client, namespace, WorkspaceDeployment, "one")
    await client.delete(DEPLOYMENTS, namespace, "one")
    left, emptied = await client.list(DEPLOYMENTS, namespace)
    again, as_of = await client.list(DEPLOYMENTS, namespace, not_older_than=int(emptied))
    assert (left, again) == ([], [])
    assert int(as_of) >= int(emptied) > int(made["metadata"]["resourceVersion"])


async def test_a_large_list_comes_as_it_is(
    apiserver: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> None:
    """The API server would compress it, for longer than it takes to make it."""
    for number in range(50):
        await create(client, namespace, WorkspaceDeployment, f"wd-{number}", description="x" * 4000)
    async with Proxy(apiserver.url) as proxy:
        through = str(proxy.kubeconfig(apiserver.kubeconfig, tmp_path / "proxied"))
        async with connected("berth-test", through) as counted:
            found, _ = await counted.list(DEPLOYMENTS, namespace)
    assert len(found) == 50
    assert proxy.told > 200_000


async def test_a_name_that_is_taken(client: Client, namespace: str) -> None:
    await create(client, namespace, WorkspaceDeployment, "one")
    with pytest.raises(errors.AlreadyExistsError):
        await create(client, namespace, WorkspaceDeployment, "one")


async def test_a_write_at_an_old_version_conflicts(client: Client, namespace: str) -> None:
    made = await create(client, namespace, WorkspaceDeployment)
    body: Object = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "spec": {"region": "a"}}
    await patch(client, made, WorkspaceDeployment, body)
    with pytest.raises(errors.ConflictError) as conflict:
        await patch(client, made, WorkspaceDeployment, body | {"spec": {"region": "b"}})
    assert not isinstance(conflict.value, errors.AlreadyExistsError)


async def test_deleting_twice_is_no_error_and_another_uid_is_left(client: Client, namespace: str) -> None:
    await create(client, namespace, WorkspaceDeployment, "one")
    with pytest.raises(errors.ConflictError):
        await client.delete(DEPLOYMENTS, namespace, "one", uid="00000000-0000-0000-0000-000000000000")
    await client.delete(DEPLOYMENTS, namespace, "one")
    await client.delete(DEPLOYMENTS, namespace, "one")


async def test_applying_twice_changes_nothing(client: Client, namespace: str) -> None:
    body: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "one", "namespace": namespace},
        "data": {"a": "1"},
    }
    first = await client.apply(CONFIGMAPS, body)
    again = await client.apply(CONFIGMAPS, body)
    assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
    assert (await client.apply(CONFIGMAPS, body | {"data": {"b": "2"}}))["data"] == {"b": "2"}


async def test_lists_of_metadata_carry_no_secret(client: Client, namespace: str) -> None:
    metadata = {"name": "one", "labels": {"berth.dev/instance": "i"}}
    await client.create(SECRETS, namespace, {"metadata": metadata, "stringData": {"key": "hidden"}})
    (found,), _ = await client.list(SECRETS, namespace, labels={"berth.dev/instance": ""}, metadata_only=True)
    assert found["metadata"]["name"] == "one"
    assert "data" not in found


async def test_a_users_name_cannot_widen_a_selector(client: Client, namespace: str) -> None:
    await create(client, namespace, Instance, "of-alice")
    odd = "x,spec.user!=y=\\"
    await create(client, namespace, Instance, "of-odd", user=odd)
    found, _ = await client.list(Instance.api(), namespace, fields={"spec.user": odd})
    assert [obj["metadata"]["name"] for obj in found] == ["of-odd"]


async def test_a_name_cannot_leave_its_collection(client: Client, namespace: str) -> None:
    with pytest.raises((errors.NotFoundError, errors.InvalidError)):
        await client.get(DEPLOYMENTS, namespace, "../instances")


async def test_a_check_stops_every_write_and_no_read(apiserver: ApiServer, namespace: str) -> None:
    class NotNowError(Exception):
        pass

    def refuse() -> None:
        raise NotNowError

    async with await connect("berth-test", str(apiserver.kubeconfig), before_write=refuse) as guarded:
        await guarded.list(DEPLOYMENTS, namespace)
        body = manifest(WorkspaceDeployment, "one")
        for write in (
            guarded.create(DEPLOYMENTS, namespace, body),
            guarded.patch(DEPLOYMENTS, namespace, "one", body),
            guarded.apply(DEPLOYMENTS, body | {"metadata": {"name": "one", "namespace": namespace}}),
            guarded.delete(DEPLOYMENTS, namespace, "one"),
        ):
            with pytest.raises(NotNowError):
                await write
        with pytest.raises(ValueError, match="has a body"):
            await guarded.request("DELETE", DEPLOYMENTS.path(namespace, "one"))
        assert (await guarded.list(DEPLOYMENTS, namespace))[0] == []


async def test_a_write_that_waited_for_a_connection_is_checked_when_it_has_it(
    apiserver: ApiServer, namespace: str
) -> None:
    class NotNowError(Exception):
        pass

    allowed, opened = True, asyncio.Event()

    def check() -> None:
        if not allowed:
            raise NotNowError

    async with await connect("berth-test", str(apiserver.kubeconfig), before_write=check, connections=1) as guarded:
        _, version = await guarded.list(DEPLOYMENTS, namespace)

        async def hold() -> None:
            async for _ in guarded.watch(DEPLOYMENTS, namespace, version, opened=opened.set):
                pass

        holding = asyncio.create_task(hold())
        await opened.wait()
        write = asyncio.create_task(guarded.create(DEPLOYMENTS, namespace, manifest(WorkspaceDeployment, "one")))
        done, _ = await asyncio.wait([write], timeout=0.3)
        assert not done
        allowed = False
        holding.cancel()
        with pytest.raises(NotNowError):
            await write
        assert (await guarded.list(DEPLOYMENTS, namespace))[0] == []


async def test_of_writes_at_once_no_two_are_between_their_check_and_the_wire(
    apiserver: ApiServer, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    send = socket.socket.send

    def sending(self: socket.socket, data: bytes, *flags: int) -> int:
        seen.append("sent")
        return send(self, data, *flags)

    async with await connect(
        "berth-test", str(apiserver.kubeconfig), before_write=lambda: seen.append("checked")
    ) as guarded:
        names = ["one", "two", "three", "four"]
        await asyncio.gather(*(guarded.list(DEPLOYMENTS, namespace) for _ in names))  # each has its connection
        with monkeypatch.context() as patched:
            patched.setattr(socket.socket, "send", sending)
            await asyncio.gather(
                *(guarded.create(DEPLOYMENTS, namespace, manifest(WorkspaceDeployment, name)) for name in names)
            )
    assert seen.count("checked") == len(names)
    following = [after for before, after in pairwise(seen) if before == "checked"]
    assert following == ["sent"] * len(names)


async def test_without_rights(apiserver: ApiServer, namespace: str, tmp_path: Path) -> None:
    config = yaml.safe_load(apiserver.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": "wrong"}
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    async with connected("berth-test", str(path)) as nobody:
        with pytest.raises(errors.ForbiddenError) as refused:
            await nobody.list(DEPLOYMENTS, namespace)
    assert refused.value.status == 401


async def test_out_of_reach(apiserver: ApiServer, namespace: str, tmp_path: Path) -> None:
    config = yaml.safe_load(apiserver.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    async with connected("berth-test", str(path)) as lost:
        with pytest.raises(errors.UnavailableError):
            await lost.list(DEPLOYMENTS, namespace)
        with pytest.raises(errors.UnavailableError):
            await anext(lost.watch(DEPLOYMENTS, namespace, "1"))


async def test_the_servers_clock(client: Client) -> None:
    assert parsedate_to_datetime(await client.server_date()).tzinfo is not None


async def test_fields_belong_to_the_manager_that_wrote_them(client: Client, namespace: str) -> None:
    made = await create(client, namespace, WorkspaceDeployment)
    assert {entry["manager"] for entry in made["metadata"]["managedFields"]} == {"berth-test"}


async def test_objects_are_counted_live(client: Client, namespace: str) -> None:
    assert await client.count(DEPLOYMENTS, namespace) == 0
    for number in range(1, 4):
        await create(client, namespace, WorkspaceDeployment)
        assert await client.count(DEPLOYMENTS, namespace) == number
