"""A whole release without nodes: API processes and an operator, each behind a fault proxy of its own."""

import asyncio
import itertools
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from forked import Process

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from ..envtest.api import process as api_process
from ..envtest.api.signing import Signer, write_keys
from ..envtest.operator.conftest import lab_in
from ..envtest.operator.lab import LEASES, Lab
from ..envtest.operator.process import Operators, restricted_kubeconfig
from .proxy import FaultProxy, fault_proxy
from .waiting import until

LEADER = "berth-operator"
OPERATING = "operating.kubeconfig"


@dataclass
class Served:
    """An API process and its proxy."""

    url: str
    process: Process
    proxy: FaultProxy
    settings: dict[str, str]
    log: Path
    name: str
    starts: int = 0
    """How often it was started again."""


@dataclass
class Release:
    """See the module; made by :func:`release`."""

    lab: Lab
    folder: Path
    kubeconfig: Path
    operators: Operators
    signer: Signer = field(default_factory=Signer)
    apis: list[Served] = field(default_factory=list)
    operator: FaultProxy | None = None
    operator_environment: dict[str, str] = field(default_factory=dict)
    api_environment: dict[str, str] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def namespaces(self) -> Namespaces:
        return self.lab.namespaces

    def user(self, name: str, *, timeout: float = 30) -> httpx.AsyncClient:
        """A client with a token; where it sends to is for each request to say."""
        return httpx.AsyncClient(headers={"Authorization": f"Bearer {self.signer.token(name)}"}, timeout=timeout)

    async def serve(self) -> Served:
        """One more API process."""
        number = next(self._numbers)
        proxy = await self._open.enter_async_context(fault_proxy(self.kubeconfig))
        kubeconfig = proxy.kubeconfig(self.kubeconfig, self.folder / f"api-{number}.kubeconfig")
        settings = api_process.environment(
            kubeconfig, self.namespaces, self.folder / "jwks.json", **self.api_environment
        )
        log = self.folder / f"api-{number}.log"
        process = api_process.start(settings, log)
        made = Served(f"http://{settings['BERTH_LISTEN']}", process, proxy, settings, log, f"api-{number}")
        self.apis.append(made)
        await asyncio.to_thread(api_process.wait_for, f"{made.url}/readyz", process, log)
        return made

    async def listed(self, user: httpx.AsyncClient, type_name: str, number: int) -> None:
        """Wait until all API processes list so many deployments of a type."""

        async def is_listed() -> bool:
            answers = [await user.get(f"{api.url}/deployments/{type_name}") for api in self.apis]
            return all(len(a.json().get("workspace_deployments") or ()) == number for a in answers)

        await until(is_listed, f"the API lists the deployments of {type_name}", 60)

    async def operate(self) -> None:
        """Start the operator, and wait until it leads."""
        self.operator = await self._open.enter_async_context(fault_proxy(self.operators.kubeconfig))
        self.operator.kubeconfig(self.operators.kubeconfig, self.folder / OPERATING)
        await self._lead()

    async def serve_again(self, dead: Served) -> None:
        """Start an API process that was killed, at the same address."""
        await asyncio.to_thread(dead.process.wait, 20)
        dead.proxy.reopen()
        dead.starts += 1
        dead.log = self.folder / f"{dead.name}.{dead.starts}.log"
        dead.process = api_process.start(dead.settings, dead.log)
        await asyncio.to_thread(api_process.wait_for, f"{dead.url}/readyz", dead.process, dead.log)

    async def operate_again(self) -> None:
        """Start the operator that was killed. It is surely dead: nobody need wait for its lease to run out."""
        assert self.operator is not None
        await asyncio.to_thread(self.operators.running[-1].wait, 20)
        await self.lab.client.delete(LEASES, self.namespaces.release, LEADER)
        self.operator.reopen()
        await self._lead()

    async def _lead(self) -> None:
        self.operators.start(KUBECONFIG=str(self.folder / OPERATING), **self.operator_environment)
        await self.lab.until(
            LEASES,
            LEADER,
            lambda lease: lease["spec"].get("holderIdentity"),
            seconds=90,
            namespace=self.namespaces.release,
        )

    async def close(self) -> None:
        """End all processes."""
        running = [*(api.process for api in self.apis), *self.operators.running]
        for process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(asyncio.to_thread(process.wait, 30) for process in running))
        await self._open.aclose()


@asynccontextmanager
async def release(server: ApiServer, namespaces: Namespaces, folder: Path) -> AsyncIterator[Release]:
    """A release with nothing that runs yet."""
    for part in ("api", "operator"):
        (folder / part).mkdir(parents=True)
    async with lab_in(server, namespaces, judge=True) as lab:
        # kubectl is waited for in threads: proxies of others are served by this event loop.
        kubeconfig = await asyncio.to_thread(api_process.restricted_kubeconfig, server, namespaces, folder / "api")
        operating = await asyncio.to_thread(restricted_kubeconfig, server, namespaces, folder / "operator")
        operators = Operators(operating, namespaces, folder / "operator")
        made = Release(lab, folder, kubeconfig, operators)
        write_keys(folder / "jwks.json", made.signer)
        try:
            yield made
        finally:
            await made.close()
