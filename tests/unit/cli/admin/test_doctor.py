"""Findings of `berth doctor`."""

import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from berth_cli.admin.doctor import suite
from berth_cli.admin.doctor.facts import Facts, Unseen, Values, environment, values_of
from berth_cli.admin.doctor.findings import Finding, Level
from berth_cli.admin.doctor.of_release import covers
from berth_cli.admin.doctor.summary import SHOWN, Held, Names
from berth_cli.admin.doctor.validation import WORKLOADS, broken, is_judged, schema_of
from berth_cli.admin.keys import material
from berth_core import crdgen
from berth_core.machines.placement import FAULTS
from berth_core.resources import (
    KINDS,
    Account,
    Build,
    Instance,
    IssuedToken,
    Project,
    Resource,
    WorkspaceDeployment,
    WorkspaceType,
)
from berth_core.resources.workspacedeployment import CONNECTOR_RULES, machine_rules

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
        values=Values(most={}, closed=[], runtime_classes=[]),
        held=held(),
        authority=material.new_authority(NOW).certificate.encode(),
        keys={"berth-token-signing": True},
        budgets={"lab": True},
    )


def held(**changes: Any) -> Held:
    """Contents of namespaces in which nothing is wrong, but for changes."""
    well: dict[str, Any] = {
        "types": [kind(told("NetworkPolicyEnforced", "True"))],
        "deployments": [machine()],
        "vpns": [vpn("True")],
    }
    return Held(**(well | changes))


def holding(**changes: Any) -> Facts:
    return replace(well(), held=held(**changes))


def taken(what: type[Resource], *objects: dict[str, Any]) -> Facts:
    """A release that holds more objects of a kind, as they are listed."""
    seen = held()
    for obj in objects:
        seen.take(what, schema_of(what), obj)
    return replace(well(), held=seen)


def vpn(status: str) -> Instance:
    metadata = {"name": "mine", "namespace": "lab", "uid": "5b3f1a57-0a53-4c39-9d8e-8c1f6d2b7e10"}
    spec = {"user": "ada", "workspaceType": "arm", "vpn": True}
    return Instance.parse({"metadata": metadata, "spec": spec, "status": {"conditions": [told("VPNReady", status)]}})


def ill(facts: Facts) -> list[Finding]:
    return [one for one in suite.findings(facts, suite.CHECKS) if one.level is not Level.OK]


def only(facts: Facts) -> Finding:
    (found,) = ill(facts)
    assert found.mend, "each fault says how to mend it"
    return found


def test_nothing_is_wrong() -> None:
    assert ill(well()) == []
    assert len(suite.findings(well(), suite.CHECKS)) >= len(suite.CHECKS)


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
    unenforced = holding(types=[kind(told("NetworkPolicyEnforced", "False", message="a probe got through"))])
    found = only(unenforced)
    assert (found.level, found.says) == (Level.FAILED, "a probe got through")
    assert only(holding(types=[kind()])).level is Level.UNKNOWN


def test_sources_that_are_lost_on_the_way() -> None:
    assert "i-1" in only(replace(well(), services=[service("Cluster")])).says
    front = service("Cluster")
    assert "api.service.externalTrafficPolicy" in only(replace(well(), front=front)).mend
    proxied = replace(well(), ingresses=[{"metadata": {"name": "berth"}}])
    assert "api.trustedProxies" in only(proxied).mend
    trusting = {"operator": process("operator"), "api": process("api", BERTH_TRUSTED_PROXIES="10.0.0.0/8")}
    assert ill(replace(proxied, processes=trusting)) == []


def test_vpns_that_do_not_come_up_or_were_not_tried() -> None:
    assert "-c vpn" in only(holding(vpns=[vpn("False")])).mend
    untried = only(holding(vpns=[]))
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
    long_ago = NOW - material.CA_LIFE - timedelta(days=1)
    assert only(replace(well(), authority=None)).level is Level.FAILED
    assert only(replace(well(), authority=b"x")).level is Level.FAILED
    assert "ended" in only(replace(well(), authority=material.new_authority(long_ago).certificate.encode())).says


def test_a_namespace_without_the_budget_of_leases() -> None:
    assert "keeps drains from leases in lab-b" in only(replace(well(), budgets={"lab": True, "lab-b": False})).says


def test_keys_that_are_missing() -> None:
    assert "berth-token-signing" in only(replace(well(), keys={"berth-token-signing": False})).says


def test_a_quarantine_says_which_command_ends_it() -> None:
    sick = told("Quarantined", "True", "ResetFailed", "exit code 3")
    assert "berth deployment release arm-1" in only(holding(deployments=[machine(sick)])).mend
    lease = {"instance": "i", "user": "ada", "claimedAt": LATER}
    assert "berth release arm-1" in only(holding(deployments=[machine(sick, lease=lease, epoch=1)])).mend
    assert "berth deployment add" in only(holding(deployments=[])).mend


@pytest.mark.parametrize("reason", sorted(FAULTS))
def test_a_machine_whose_address_may_not_be_lent_is_named(reason: str) -> None:
    found = only(holding(deployments=[machine(told("Online", "False", reason, "192.0.2.40/32 is wrong"))]))
    assert (found.check, found.level) == ("deployments", Level.WARNING)
    assert "arm-1" in found.says
    assert "192.0.2.40/32 is wrong" in found.says
    assert "robot-at-an-address.md" in found.mend
    assert ill(holding(deployments=[machine(told("Online", "False", "HeartbeatLost", "it was not renewed"))])) == []


def test_a_type_whose_robot_its_workspaces_no_longer_reach_is_named() -> None:
    enforced = told("NetworkPolicyEnforced", "True")
    robot = "tcp://192.168.7.4:30002"
    found = only(holding(types=[kind(enforced, env=robot)]))
    assert (found.check, found.level) == ("egress", Level.WARNING)
    assert "type arm: its environment names 192.168.7.4" in found.says
    assert "spec.network.allowed" in found.mend
    overrides = {"env": [{"name": "ROBOT", "value": "10.0.0.4"}]}
    metadata = {"name": "arm-1", "namespace": "lab"}
    one = WorkspaceDeployment.parse({"metadata": metadata, "spec": {"type": "arm", "overrides": overrides}})
    assert "10.0.0.4" in only(holding(deployments=[one])).says

    machine_ = {"network": {"addresses": ["10.0.0.4/32"]}}
    at_it, beside = (
        WorkspaceDeployment.parse(
            {
                "metadata": metadata,
                "spec": {"type": "arm", "machine": machine_, "overrides": {"env": [{"name": "R", "value": at}]}},
            }
        )
        for at in ("10.0.0.4:7001", "10.0.0.5")
    )
    assert ill(holding(deployments=[at_it])) == [], "its leases reach their own machine"
    assert "10.0.0.5" in only(holding(deployments=[beside])).says

    for fine in (
        kind(enforced, env=robot, allowed=["192.168.7.0/24"]),
        kind(enforced, env=robot, egress="none"),
        kind(enforced, env="8.8.8.8 127.0.0.1 version 1.2.3 999.1.1.1"),
    ):
        assert ill(holding(types=[fine])) == []

    named = kind(enforced, env=robot, allowed=["192.168.7.0/24"])
    closed = Values(most={}, closed=[ip_network("192.168.7.0/24")], runtime_classes=[])
    assert only(replace(holding(types=[named]), values=closed)).check == "egress"


def test_a_type_whose_networks_are_none_is_named_and_stops_no_check() -> None:
    odd = kind(told("NetworkPolicyEnforced", "True"), allowed=["everywhere"])
    assert "spec.network.allowed" in only(holding(types=[odd])).says


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
        held=Held(unseen=dict.fromkeys([*(one.KIND for one in KINDS), *WORKLOADS, "NetworkPolicy"], "forbidden")),
        values=Values(nobody, nobody, nobody),
        authority=nobody,
        keys=nobody,
        budgets=nobody,
    )
    assert {one.level for one in ill(facts)} == {Level.UNKNOWN}
    assert len(ill(facts)) == len(suite.CHECKS) - 2, "version and clock are told to everybody"


def test_one_list_that_may_not_be_read_hides_nothing_of_the_others() -> None:
    seen = held(unseen={"Delivery": "forbidden"})
    seen.take(Project, schema_of(Project), listed(Project, "p", repoURL="https://hunter2@git.test/a"))
    levels = {one.check: one.level for one in ill(replace(well(), held=seen))}
    assert levels == {
        "readable": Level.UNKNOWN,
        "names and labels": Level.UNKNOWN,
        "fields": Level.WARNING,
    }


def test_a_proxy_that_may_not_be_seen_is_no_proof_that_there_is_none() -> None:
    found = only(replace(well(), ingresses=Unseen("forbidden")))
    assert (found.check, found.level) == ("source addresses", Level.UNKNOWN)


def test_an_environment_is_read_where_it_is_plain() -> None:
    assert environment(process("api", A="1"), "api") == {"A": "1"}
    assert environment(None, "api") == environment(process("api", A="1"), "other") == {}


SPECS: dict[str, dict[str, Any]] = {
    "Instance": {"user": "ada", "workspaceType": "arm"},
    "Build": {"user": "ada", "project": "p", "branch": "main", "repoURL": "https://git.test/a"},
    "Project": {"name": "p", "user": "ada", "repoURL": "https://git.test/a"},
    "WorkspaceDeployment": {"type": "arm"},
    "Account": {"user": "ada"},
}


def listed(what: type[Resource], name: str, manager: str = "kubectl", **spec: Any) -> dict[str, Any]:
    """An object whose spec, labels and owners were written by ``manager``."""
    return {"metadata": metadata(name, manager), "spec": SPECS[what.KIND] | spec}


def metadata(name: str, manager: str = "kubectl", **fields: Any) -> dict[str, Any]:
    labels: dict[str, Any] = {f"f:{key}": {} for key in fields.get("labels", {})}
    written = {"f:spec": {}, "f:metadata": {"f:labels": labels, "f:ownerReferences": {}}}
    entry = {"manager": manager, "operation": "Update", "fieldsV1": written}
    return {"name": name, "namespace": "lab", "managedFields": [entry]} | fields


OF_A_BUILD = {"apiVersion": "berth.dev/v1alpha1", "kind": "Build", "name": "b", "uid": "u"}
AN_ID = "01900000-0000-7000-8000-000000000001"


@pytest.mark.parametrize(
    ("what", "name", "fields"),
    [
        (Instance, f"b-{AN_ID}-1", {}),
        (Build, AN_ID, {}),
        (Project, "p-" + "a" * 40, {}),
        (Instance, "mine", {"labels": {"berth.dev/build": AN_ID}}),
        (Instance, "mine", {"ownerReferences": [OF_A_BUILD]}),
    ],
)
def test_what_looks_like_berths_own_and_is_not(what: type[Resource], name: str, fields: dict[str, Any]) -> None:
    theirs, ours = (
        listed(what, name) | {"metadata": metadata(name, manager, **fields)}
        for manager in ("kubectl", "berth-operator")
    )
    found = only(taken(what, theirs))
    assert (found.check, found.level, f"lab/{name}" in found.says) == ("names and labels", Level.WARNING, True)
    assert ill(taken(what, ours)) == []


def test_a_machine_may_be_named_by_an_id() -> None:
    assert ill(taken(WorkspaceDeployment, listed(WorkspaceDeployment, AN_ID))) == []


def test_workloads_that_are_not_berths() -> None:
    web = {"controller": True, "apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    seen = held()
    seen.take_workload("Deployment", metadata("web"))
    seen.take_workload("ReplicaSet", metadata("web-1", ownerReferences=[web]))
    seen.take_workload("Pod", metadata("i-1", labels={"app.kubernetes.io/managed-by": "berth"}))
    found = only(replace(well(), held=seen))
    assert (found.level, found.says) == (Level.WARNING, "1 are not Berth's: Deployment lab/web")


def test_network_policies_that_open_what_berth_closes() -> None:
    seen = held()
    rules: dict[str, list[dict[str, str]]] = {"egress": [{}]}
    seen.take_policy({"metadata": metadata("mine"), "spec": rules})
    seen.take_policy({"metadata": metadata("closes"), "spec": {"policyTypes": ["Egress"], "egress": []}})
    seen.take_policy({"metadata": metadata("i-1", labels={"app.kubernetes.io/managed-by": "berth"}), "spec": rules})
    found = only(replace(well(), held=seen))
    assert (found.level, found.says) == (Level.WARNING, "1 NetworkPolicies with rules are not Berth's: lab/mine")


@pytest.mark.parametrize(("api", "word"), [("argoproj.io/v1alpha1", "Workflow"), ("example.org/v1", "Job")])
def test_an_owner_that_is_not_looked_at_itself_makes_no_workload_berths(api: str, word: str) -> None:
    owner = {"controller": True, "apiVersion": api, "kind": word, "name": "w"}
    seen = held()
    seen.take_workload("Pod", metadata("w-1", ownerReferences=[owner]))
    assert only(replace(well(), held=seen)).says == "1 are not Berth's: Pod lab/w-1"


def test_overrides_that_would_change_their_type() -> None:
    where = {"name": "arm-2", "namespace": "lab"}
    spec = {"type": "arm", "overrides": {"devices": {"cpu": 64}}}
    found = only(holding(deployments=[WorkspaceDeployment.parse({"metadata": where, "spec": spec})]))
    assert (found.level, "devices[cpu]" in found.says) == (Level.FAILED, True)


def test_a_type_with_a_runtime_class_that_no_value_allows_is_named() -> None:
    enforced = told("NetworkPolicyEnforced", "True")
    template = {"image": "example.test/arm:1", "runtimeClassName": "kata"}
    spec = {"typeName": "arm", "template": template}
    where = {"name": "arm", "namespace": "lab"}
    facts = holding(
        types=[WorkspaceType.parse({"metadata": where, "spec": spec, "status": {"conditions": [enforced]}})]
    )
    values = values_of({"BERTH_RUNTIME_CLASSES": "gvisor"})
    assert "type arm (kata)" in only(replace(facts, values=values)).says
    for fine in ({}, {"BERTH_RUNTIME_CLASSES": "gvisor,kata"}):
        assert ill(replace(facts, values=values_of(fine))) == []


def test_what_cannot_be_read_is_listed_and_stops_no_check() -> None:
    odd = listed(Instance, "odd", requesterAddress=7)
    found = ill(taken(Instance, odd, listed(Instance, "mine", sshKeys=["k" * 100_000])))
    assert [one.check for one in found] == ["readable", "fields"]
    assert found[0].says == "1 cannot be read: Instance lab/odd (spec.requesterAddress: Input should be a valid string)"
    assert "Instance lab/mine (spec.sshKeys)" in found[1].says


@pytest.mark.parametrize(
    ("what", "spec", "path"),
    [
        (Instance, {"sshKeys": ["k" * 100_000]}, "spec.sshKeys"),
        (Instance, {"sshKeys": ["k"] * 10_000}, "spec.sshKeys"),
        (Instance, {"requesterAddress": "nowhere"}, "spec.requesterAddress"),
        (Instance, {"repo": {"url": "https://ada:hunter2@git.test/a"}}, "spec.repo.url"),
        (Instance, {"repo": {"url": "https://git.test/a", "path": "/etc/cron.d"}}, "spec.repo.path"),
        (Build, {"attempt": 2**63 - 1}, "spec.attempt"),
        (Build, {"attempt": 0}, "spec.attempt"),
        (Project, {"repoURL": "https://hunter2@git.test/a"}, "spec.repoURL"),
        (WorkspaceDeployment, {"heartbeat": "sometimes"}, "spec.heartbeat"),
        (Account, {"tokensValidAfter": "2026-02-01 01:00:00Z"}, "spec.tokensValidAfter"),
        (IssuedToken, {"expires": "9999-12-31T23:59:59Z"}, "spec.expires"),
    ],
)
def test_a_field_that_may_not_be_made_so_now_is_named(what: type[Resource], spec: dict[str, Any], path: str) -> None:
    whole = SPECS.get(what.KIND, {}) | spec
    assert path in set(broken(schema_of(what)["spec"], whole, "spec"))
    if what.KIND in SPECS:
        assert list(broken(schema_of(what)["spec"], SPECS[what.KIND], "spec")) == []


def test_a_name_that_is_too_long_counts_where_the_policy_refuses_it() -> None:
    assert "(metadata.name)" in only(taken(Instance, listed(Instance, "x" * 64))).says
    assert ill(taken(Account, listed(Account, "x" * 64))) == []


NOT_JUDGED = {
    "self.metadata.name == self.spec.sha256",
    "has(self.spec.workspaceType) != has(self.spec.deployments)",
    "has(self.workspaceType) != has(self.deployments)",
    "has(self.branch) || has(self.commit)",
    "!has(self.cancel) || !has(self.attempt) || self.cancel <= self.attempt",
    "isCIDR(self.spec.source)",
    "has(self.tcp) != has(self.http)",
    *(rule.rule for rule in machine_rules("spec.machine.network")),
    *(rule.rule for rule in CONNECTOR_RULES),
}
"""Rules on what is made that are as old as their kinds or fields, so that no older object breaks them."""


def test_rules_on_what_is_made_are_judged_or_as_old_as_their_kinds() -> None:
    of_types = {one.rule for one in WorkspaceType.RULES}
    rules = {one.rule for what in KINDS for one in what.RULES if "oldSelf" not in one.rule} - of_types
    of_leases = {rule for rule in rules if "returned" in rule or "warm" in rule}  # by Berth's processes only
    assert {rule for rule in rules - of_leases if not is_judged(rule)} == NOT_JUDGED


def test_a_namespace_that_is_full_says_so() -> None:
    full = taken(Instance, listed(Instance, "mine"), listed(Instance, "other"))
    full.held.counts["lab", "configmaps"] = 5

    def bounded(objects: str, quota: str = "{}") -> Facts:
        return replace(full, values=values_of({"BERTH_MOST_OBJECTS": objects, "BERTH_QUOTA": quota}))

    found = only(bounded('{"instances": 2, "builds": 2}'))
    assert found.says == "lab has 2 instances, and 2 are its bound"
    assert "bounds.objects" in found.mend
    assert ill(bounded('{"instances": 3}')) == []
    assert only(bounded("{}", '{"configmaps": "5"}')).says == "lab has 5 configmaps, and 5 are its bound"
    assert ill(bounded("{}", '{"configmaps": "6"}')) == []
    full.held.counts["lab", "configmaps"] = 20_000
    assert only(bounded("{}", '{"configmaps": "20k"}')).says == "lab has 20000 configmaps, and 20000 are its bound"
    for other in ('{"requests.cpu": "20"}', '{"requests.memory": "20Gi"}'):
        assert only(bounded("{}", other)).level is Level.UNKNOWN
    unknown = Values(most=Unseen("forbidden"), closed=[], runtime_classes=[])
    assert only(replace(well(), values=unknown)).level is Level.UNKNOWN


def test_of_many_some_names_are_kept() -> None:
    names = Names()
    for _ in range(1000):
        names.add("x" * 1000)
    assert (names.count, len(names.first)) == (1000, SHOWN)
    assert len(str(names)) < 1100
