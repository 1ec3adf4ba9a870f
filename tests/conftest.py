"""Session fixtures: a real Kubernetes in three sizes. The work is done in berth_dev."""

import os
from collections.abc import Iterator
from typing import Any

import forked
import pytest
from amount import share
from hypothesis import settings
from product import product
from promised import is_exact
from recording import TALLY

from berth_dev.cluster.outside import Outside, clients
from berth_dev.envtest import apiserver as tiers
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.kept import kept
from berth_dev.envtest.testing import BerthCluster, Namespaces, apply_crds, berth_cluster, make_namespaces

# How long an example takes says what else the machine does; tests that promise a time measure it themselves.
# Examples are the same in each run, but for `make test-all`, which draws them anew.
IS_FIXED = not is_exact()
settings.register_profile("berth", deadline=None, derandomize=IS_FIXED, max_examples=share(100))
settings.register_profile("quick", deadline=None, derandomize=IS_FIXED, max_examples=20)  # make check
settings.load_profile("berth")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Tell the process that started this one, if one did, how many traces were judged."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["traces"] = (TALLY.traces, TALLY.commits, TALLY.leases)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Hear it."""
    TALLY.count(*getattr(node, "workeroutput", {}).get("traces", (0, 0, 0)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many traces of real runs the lease protocol allows, and of a long run which tree it tried."""
    if TALLY.traces:
        terminalreporter.write_line(f"{TALLY.traces} traces judged: {TALLY.commits} commits, {TALLY.leases} leases")
    if is_long():
        terminalreporter.write_line(f"product {product()}")


@pytest.fixture(scope="session")
def apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """etcd and kube-apiserver, with Berth's CRDs: one that is kept, where BERTH_ENVTEST names it."""
    if (server := kept()) is not None:
        forked.begin()
        yield server
        return
    with tiers.running(tmp_path_factory.mktemp("apiserver")) as server:
        apply_crds(server)
        yield server


@pytest.fixture(scope="module")
def own_apiserver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The same for one module alone, which changes what all on a server see, such as CRDs."""
    with tiers.running(tmp_path_factory.mktemp("own-apiserver")) as server:
        apply_crds(server)
        yield server


@pytest.fixture(scope="session")
def controllers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """The same with kube-controller-manager: garbage collection, service accounts."""
    with tiers.running(tmp_path_factory.mktemp("controllers"), controllers=True) as server:
        apply_crds(server)
        yield server


@pytest.fixture
def namespaces(apiserver: ApiServer) -> Namespaces:
    """Namespaces of this test's own in the API server."""
    return make_namespaces(apiserver)


@pytest.fixture(scope="session")
def cluster() -> BerthCluster:
    """The two-node cluster with Berth installed from this work tree, and the samples.

    It stays after the tests: the next run, or `make demo`, goes on from it.
    """
    return berth_cluster()


@pytest.fixture(scope="session")
def outside(cluster: BerthCluster) -> Outside:
    """A client outside of the cluster."""
    return clients()[0]


@pytest.fixture(scope="session")
def outside2(cluster: BerthCluster) -> Outside:
    """A second client outside of the cluster, at another address."""
    return clients()[1]


def is_long() -> bool:
    """Whether everything is run (`make test-faults`), not only the short form."""
    return os.environ.get("FAULTS") == "long"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long ones to `make test-faults`, which does more than the short ones."""
    other = "short" if is_long() else "long"
    left = [item for item in items if item.get_closest_marker(other) is not None]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
