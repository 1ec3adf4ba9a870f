"""The comparison of `make bench-peer`: pods of the same make, and ratios of the same figures."""

from pathlib import Path

from bench.peer.__main__ import compare
from bench.peer.manifests import POOLS, TEMPLATES, claim, installation, pool_of
from bench.pools import Figures, runs
from bench.report import Report
from bench.warm import TEMPLATE

from berth_core.kube.types import Object
from berth_operator.instances.manifests.pod import pod

from ..operator.samples import CONFIG, lease_parts


def objects(folder: Path, count: int = 40) -> Object:
    """Objects of a pool, by their kind's plural."""
    for name in ("key", "key.pub"):
        (folder / name).write_text(name)
    return {kind.plural: manifest for kind, manifest in pool_of(count, folder / "key")}


def test_the_peer_keeps_the_pod_that_berth_keeps_but_for_the_agent(tmp_path: Path) -> None:
    ours = pod(lease_parts(template=TEMPLATE), CONFIG)["spec"]
    theirs = objects(tmp_path)[TEMPLATES.plural]["spec"]["podTemplate"]["spec"]
    (our_workspace,), (workspace,) = ours["containers"], theirs["containers"]
    assert our_workspace.pop("env") == []
    our_workspace["resources"]["limits"].pop("ephemeral-storage")
    assert workspace == our_workspace
    own = {"containers", "volumes", "hostUsers"}
    assert {key: ours[key] for key in theirs.keys() - own} == {key: theirs[key] for key in theirs.keys() - own}
    assert {volume["name"] for volume in theirs["volumes"]} == {"berth-host-keys", "berth-run"}


def test_the_pool_has_as_many_pods_as_the_burst_and_claims_take_them_from_it(tmp_path: Path) -> None:
    (pool,) = [manifest for plural, manifest in objects(tmp_path, 7).items() if plural == POOLS.plural]
    assert pool["spec"]["replicas"] == 7
    assert claim("claim-0")["spec"]["warmPoolRef"]["name"] == pool["metadata"]["name"]


def test_the_peers_own_manifests_are_installed_without_its_deployment_and_without_conversion() -> None:
    overlay = installation("../module/k8s")
    assert overlay["resources"] == ["../module/k8s"]
    assert [patch["target"]["kind"] for patch in overlay["patches"]] == ["Deployment", "CustomResourceDefinition"]


def test_ratios_are_berths_figures_by_the_peers() -> None:
    ours = Figures(30.0, [{"answered": 0.1, "→ READY": 0.3}], [{"answered": 0.1, "→ READY": 2.0}])
    theirs = Figures(20.0, [{"answered": 0.1, "→ READY": 0.2}], [{"answered": 0.1, "→ READY": 4.0}])
    report = Report("peer", {})
    compare(report, ours, theirs)
    ratios = {name: value for name, value in report.others.items() if name.startswith("Berth / agent-sandbox")}
    assert {name.partition(", ")[2]: round(value, 3) for name, value in ratios.items()} == {
        "one by one: → READY, p50": 1.5,
        "one by one: → READY, p90": 1.5,
        "1 at once: → READY, p50": 0.5,
        "1 at once: → READY, p90": 0.5,
        "1 warm pods from nothing": 1.5,
    }


def test_a_pod_runs_when_all_its_containers_do_and_nobody_has_deleted_it() -> None:
    runs_now: Object = {"state": {"running": {}}}
    waits: Object = {"state": {"waiting": {}}}
    spec: Object = {"initContainers": [{}], "containers": [{}]}
    both = {"initContainerStatuses": [runs_now], "containerStatuses": [runs_now]}
    assert runs({"metadata": {}, "spec": spec, "status": both})
    assert not runs({"metadata": {}, "spec": spec, "status": {"containerStatuses": [runs_now]}})
    assert not runs({"metadata": {}, "spec": spec, "status": both | {"containerStatuses": [waits]}})
    assert not runs({"metadata": {"deletionTimestamp": "2026-11-30T00:00:00Z"}, "spec": spec, "status": both})
