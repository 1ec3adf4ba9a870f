"""What `berth doctor` finds, by what there is."""

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from berth_cli import keys
from berth_cli.checkup import checks
from berth_cli.checkup.facts import Facts, Unseen, environment, larger, schema_of
from berth_cli.checkup.findings import Finding, Level
from berth_cli.checkup.of_release import covers
from berth_core import crdgen
from berth_core.resources import KINDS, Build, Instance, WorkspaceDeployment, WorkspaceType

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
DEFINITIONS = [crdgen.definition(one) for one in KINDS]
LATER = "2026-05-01T12:00:00Z"


def told(kind: str, status: str, reason: str = "Reason", message: str = "a message") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": LATER}


def process(name: str, ready: int = 2, **variables: str) -> dict[str, Any]:
    variables_ = [{"name": key, "value": value} for key, value in variables.items()]
    containers = [{"name": name, "env": [*variables_, {"name": "POD", "valueFrom": {}}]}]
    return {
        "spec": {"replicas": 2, "template": {"spec": {"containers": containers}}},
        "status": {"readyReplicas": ready},
    }


def kind(*conditions: dict[str, Any], env: str = "", **network: Any) -> WorkspaceType:
    metadata = {"name": "arm", "namespace": "lab"}
    template = {"image": "example.test/arm:1", "env": [{"name": "ROBOT", "value": env}]}
    spec = {"typeName": "arm", "template": template, "network": network}
    return WorkspaceType.parse({"metadata": metadata, "spec": spec, "status": {"conditions": list(conditions)}})


def machine(*conditions: dict[str, Any], **status: Any) -> WorkspaceDeployment:
    metadata = {"name": "arm-1", "namespace": "lab"}
    shown = {"conditions": list(conditions)} | status
    return WorkspaceDeployment.parse({"metadata": metadata, "spec": {"type": "arm"}, "status": shown})


def service(policy: str) -> dict[str, Any]:
    return {"metadata": {"name": "i-1"}, "spec": {"type": "NodePort", "externalTrafficPolicy": policy}}


def well() -> Facts:
    """A release in which nothing is wrong."""
    return Facts(
        release="berth",
        version="v1.37.2",
        now=NOW,
        here=NOW + timedelta(seconds=1),
        definitions=DEFINITIONS,
        processes={
            "operator": process("operator", BERTH_VPN_TUN="mknod"),
            "api": process("api", BERTH_TRUSTED_PROXIES=""),
            "notifier": process("notifier"),
        },
        leader={"spec": {"holderIdentity": "operator-1", "renewTime": "2026-05-01T11:59:59.000000Z"}},
        services=[service("Local")],
        front={"spec": {"type": "ClusterIP"}},
        ingresses=[],
        types=[kind(told("NetworkPolicyEnforced", "True"))],
        deployments=[machine()],
        instances=[vpn("True")],
        ours=[],
        workloads=[],
        authority=keys.new_authority(NOW).certificate,
        keys={"berth-token-signing": True},
        most={},
    )


def vpn(status: str) -> Instance:
    metadata = {"name": "mine", "namespace": "lab", "uid": "5b3f1a57-0a53-4c39-9d8e-8c1f6d2b7e10"}
    spec = {"user": "ada", "workspaceType": "arm", "vpn": True}
    return Instance.parse({"metadata": metadata, "spec": spec, "status": {"conditions": [told("VPNReady", status)]}})


def ill(facts: Facts) -> list[Finding]:
    return [one for one in checks.findings(facts) if one.level is not Level.OK]


def only(facts: Facts) -> Finding:
    (found,) = ill(facts)
    assert found.mend, "what is not well says how to mend it"
    return found


def test_nothing_is_wrong() -> None:
    assert ill(well()) == []
    assert len(checks.findings(well())) >= len(checks.CHECKS)


def test_a_cluster_that_is_too_old() -> None:
    assert only(replace(well(), version="v1.33.9")).level is Level.FAILED
    assert only(replace(well(), version="v2-custom")).level is Level.UNKNOWN
    assert ill(replace(well(), version="v1.34.4+k3s1")) == []


def test_resources_that_are_missing_or_old() -> None:
    live = copy.deepcopy(DEFINITIONS)
    missing = only(replace(well(), definitions=live[1:]))
    assert (missing.level, KINDS[0].KIND in missing.says) == (Level.FAILED, True)
    del live[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert only(replace(well(), definitions=live)).level is Level.WARNING


def test_what_the_api_server_adds_is_no_difference() -> None:
    assert covers({"a": [{"b": 1, "default": 2}], "c": 3}, {"a": [{"b": 1}]})
    assert not covers({"a": [{"b": 1}, {}]}, {"a": [{"b": 1}]})


def test_network_policy_that_nobody_enforces() -> None:
    unenforced = replace(well(), types=[kind(told("NetworkPolicyEnforced", "False", message="a probe got through"))])
    found = only(unenforced)
    assert (found.level, found.says) == (Level.FAILED, "a probe got through")
    assert only(replace(well(), types=[kind()])).level is Level.UNKNOWN


def test_sources_that_are_lost_on_the_way() -> None:
    assert "i-1" in only(replace(well(), services=[service("Cluster")])).says
    front = service("Cluster")
    assert "api.service.externalTrafficPolicy" in only(replace(well(), front=front)).mend
    proxied = replace(well(), ingresses=[{"metadata": {"name": "berth"}}])
    assert "api.trustedProxies" in only(proxied).mend
    trusting = {"operator": process("operator"), "api": process("api", BERTH_TRUSTED_PROXIES="10.0.0.0/8")}
    assert ill(replace(proxied, processes=trusting)) == []


def test_vpns_that_do_not_come_up_or_were_not_tried() -> None:
    assert "-c vpn" in only(replace(well(), instances=[vpn("False")])).mend
    untried = only(replace(well(), instances=[]))
    assert (untried.level, "berth new" in untried.mend) == (Level.UNKNOWN, True)


def test_clocks_that_differ() -> None:
    assert "ahead of" in only(replace(well(), here=NOW + timedelta(seconds=9))).says
    ahead = {"spec": {"holderIdentity": "operator-1", "renewTime": "2026-05-01T12:00:30.000000Z"}}
    assert only(replace(well(), leader=ahead)).check == "clock of the operator"


def test_nobody_leads() -> None:
    silent = {"spec": {"holderIdentity": "operator-1", "renewTime": "2026-05-01T11:00:00.000000Z"}}
    for leader in (None, {"spec": {"holderIdentity": None}}, silent):
        assert only(replace(well(), leader=leader)).level is Level.FAILED


def test_processes_that_are_not_ready() -> None:
    there = well().processes
    assert not isinstance(there, Unseen)
    assert only(replace(well(), processes={**there, "api": process("api", ready=1)})).level is Level.WARNING
    assert only(replace(well(), processes={**there, "api": process("api", ready=0)})).level is Level.FAILED
    assert only(replace(well(), processes={**there, "notifier": None})).level is Level.FAILED


def test_an_authority_that_is_gone_ends_or_is_none() -> None:
    long_ago = NOW - keys.CA_LIFE - timedelta(days=1)
    assert only(replace(well(), authority=None)).level is Level.FAILED
    assert only(replace(well(), authority=b"x")).level is Level.FAILED
    assert "ended" in only(replace(well(), authority=keys.new_authority(long_ago).certificate)).says


def test_keys_that_are_missing() -> None:
    assert "berth-token-signing" in only(replace(well(), keys={"berth-token-signing": False})).says


def test_a_quarantine_says_which_command_ends_it() -> None:
    sick = told("Quarantined", "True", "ResetFailed", "exit code 3")
    assert "berth deployment release arm-1" in only(replace(well(), deployments=[machine(sick)])).mend
    lease = {"instance": "i", "user": "ada", "claimedAt": LATER}
    assert "berth release arm-1" in only(replace(well(), deployments=[machine(sick, lease=lease, epoch=1)])).mend
    assert "berth deployment add" in only(replace(well(), deployments=[])).mend


def test_a_type_whose_robot_its_workspaces_no_longer_reach_is_named() -> None:
    enforced = told("NetworkPolicyEnforced", "True")
    robot = "tcp://192.168.7.4:30002"
    found = only(replace(well(), types=[kind(enforced, env=robot)]))
    assert (found.check, found.level) == ("egress", Level.WARNING)
    assert "type arm: its environment names 192.168.7.4" in found.says
    assert "spec.network.allowed" in found.mend
    overrides = {"env": [{"name": "ROBOT", "value": "10.0.0.4"}]}
    metadata = {"name": "arm-1", "namespace": "lab"}
    one = WorkspaceDeployment.parse({"metadata": metadata, "spec": {"type": "arm", "overrides": overrides}})
    assert "10.0.0.4" in only(replace(well(), deployments=[one])).says

    for fine in (
        kind(enforced, env=robot, allowed=["192.168.7.0/24"]),
        kind(enforced, env=robot, egress="none"),
        kind(enforced, env="8.8.8.8 127.0.0.1 version 1.2.3 999.1.1.1"),
    ):
        assert ill(replace(well(), types=[fine])) == []

    named = kind(enforced, env=robot, allowed=["192.168.7.0/24"])
    processes = {name: process(name, BERTH_MACHINE_CIDRS="192.168.7.0/24") for name in ("operator", "api", "notifier")}
    assert only(replace(well(), types=[named], processes=processes)).check == "egress"


def test_what_may_not_be_read_is_unknown() -> None:
    nobody = Unseen("forbidden")
    facts = replace(
        well(),
        definitions=nobody,
        processes=nobody,
        leader=nobody,
        services=nobody,
        front=nobody,
        ingresses=nobody,
        types=nobody,
        deployments=nobody,
        instances=nobody,
        ours=nobody,
        workloads=nobody,
        authority=nobody,
        keys=nobody,
    )
    assert {one.level for one in ill(facts)} == {Level.UNKNOWN}
    assert len(ill(facts)) == len(checks.CHECKS) - 2, "version and clock are told to everybody"


def test_an_environment_is_read_where_it_is_plain() -> None:
    assert environment(process("api", A="1"), "api") == {"A": "1"}
    assert environment(None, "api") == environment(process("api", A="1"), "other") == {}


def metadata(what: str, name: str, manager: str = "kubectl", **fields: Any) -> dict[str, Any]:
    """Metadata of something whose spec, labels and owners were written by ``manager``."""
    labels: dict[str, Any] = {f"f:{key}": {} for key in fields.get("labels", {})}
    written = {"f:spec": {}, "f:metadata": {"f:labels": labels, "f:ownerReferences": {}}}
    entry = {"manager": manager, "operation": "Update", "fieldsV1": written}
    return {"what": what, "metadata": {"name": name, "namespace": "lab", "managedFields": [entry]} | fields}


OF_A_BUILD = {"apiVersion": "berth.dev/v1alpha1", "kind": "Build", "name": "b", "uid": "u"}
AN_ID = "01900000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("what", "name", "fields"),
    [
        ("Instance", f"b-{AN_ID}-1", {}),
        ("Build", AN_ID, {}),
        ("Project", "p-" + "a" * 40, {}),
        ("Instance", "mine", {"labels": {"berth.dev/build": AN_ID}}),
        ("Instance", "mine", {"ownerReferences": [OF_A_BUILD]}),
    ],
)
def test_what_looks_like_berths_own_and_is_not(what: str, name: str, fields: dict[str, Any]) -> None:
    found = only(replace(well(), ours=[metadata(what, name, **fields)]))
    assert (found.level, f"lab/{name}" in found.says) == (Level.WARNING, True)
    assert ill(replace(well(), ours=[metadata(what, name, "berth-operator", **fields)])) == []


def test_a_machine_may_be_named_by_an_id() -> None:
    assert ill(replace(well(), ours=[metadata("WorkspaceDeployment", AN_ID)])) == []


def test_workloads_that_are_not_berths() -> None:
    owner = {"controller": True, "kind": "Deployment", "name": "web"}
    berths = metadata("Pod", "i-1", labels={"app.kubernetes.io/managed-by": "berth"})
    listed = [metadata("Deployment", "web"), metadata("ReplicaSet", "web-1", ownerReferences=[owner]), berths]
    found = only(replace(well(), workloads=listed))
    assert (found.level, found.says) == (Level.WARNING, "1 are not Berth's: Deployment lab/web")


def test_overrides_that_would_change_their_type() -> None:
    metadata = {"name": "arm-2", "namespace": "lab"}
    spec = {"type": "arm", "overrides": {"devices": {"cpu": 64}}}
    found = only(replace(well(), deployments=[WorkspaceDeployment.parse({"metadata": metadata, "spec": spec})]))
    assert (found.level, "devices[cpu]" in found.says) == (Level.FAILED, True)


def resource(what: str = "Instance", name: str = "mine", larger: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"what": what, "metadata": {"namespace": "lab", "name": name}, "larger": list(larger)}


def test_what_is_larger_than_may_be_made_now_is_named() -> None:
    found = only(replace(well(), ours=[resource(), resource(larger=("spec.sshKeys",)), resource(name="x" * 64)]))
    assert (found.check, found.level) == ("sizes", Level.WARNING)
    assert found.says.startswith("2 are larger than may be made now: Instance lab/mine (spec.sshKeys), Instance lab/x")


def test_fields_are_measured_by_the_schema_of_this_version() -> None:
    schema = schema_of(Instance)
    spec = {"user": "ada", "sshKeys": ["k" * 100_000], "type": "bench", "deployments": ["one"], "unknown": "x" * 10_000}
    assert sorted(set(larger(schema["spec"], spec, "spec"))) == ["spec.sshKeys"]
    assert list(larger(schema["spec"], {"sshKeys": ["k"] * 10_000}, "spec")) == ["spec.sshKeys"]
    assert list(larger(schema_of(Build)["spec"], {"attempt": 2**63 - 1, "branch": "main"}, "spec")) == ["spec.attempt"]
    assert list(larger(schema["spec"], {"user": None, "vpn": True}, "spec")) == []


def test_a_namespace_that_is_full_says_so() -> None:
    both = [resource(), resource(name="other"), resource("Build")]
    found = only(replace(well(), ours=both, most={"instances": 2, "builds": 2}))
    assert found.says == "lab has 2 instances, and 2 are its bound"
    assert "bounds.objects" in found.mend
    assert ill(replace(well(), ours=both, most={"instances": 3})) == []
    assert only(replace(well(), most=Unseen("forbidden"))).level is Level.UNKNOWN
