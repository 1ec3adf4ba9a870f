"""The Jobs of a build and their NetworkPolicy: what they may, and what they are told."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from berth_core.firewall import Egress
from berth_core.kube.model import timestamp
from berth_core.kube.types import Object
from berth_core.resources import Build, Project
from berth_operator.builds.manifests.jobs import BuildParts, fetch_job, run_job, slug
from berth_operator.builds.manifests.network import (
    MachineDoor,
    machine_rules,
    policy,
    repository_egress,
    repository_rules,
    why_not,
)
from berth_operator.builds.observed import MachineSeen
from berth_operator.podspec.network import dns_fields, dns_peers
from berth_operator.settings.builds import CiSettings, ci_settings

from ..samples import CONFIG, NOW

SETTINGS = CiSettings(image="berth-ci:1")
DNS = dns_peers(CONFIG)
MACHINE = MachineSeen("id", True, True, host="198.51.100.7", port=30123, host_keys=("ssh-ed25519 AAAA",))


def parts(*, credentials: bool = False, url: str = "https://git.example.org/lab/arm.git") -> BuildParts:
    metadata = {"name": "b", "namespace": "lab", "uid": "uid-of-b", "creationTimestamp": timestamp(NOW)}
    status = {"attempt": 2, "commit": "ab" * 20, "image": "debian:12", "timeout": 60}
    build = Build.parse(
        {"metadata": metadata, "spec": {"project": "p", "user": "ada", "branch": "$(HOME)"}, "status": status}
    )
    spec: dict[str, Any] = {"name": "arm", "user": "ada", "repoURL": url}
    if credentials:
        spec["credentials"] = {"secret": "deploy"}
    return BuildParts(build, Project.parse({"metadata": metadata | {"name": "p"}, "spec": spec}), SETTINGS)


def containers(job: Object) -> list[Object]:
    spec = job["spec"]["template"]["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def env(container: Object) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


@pytest.mark.parametrize(
    "job", [fetch_job(parts(credentials=True)), run_job(parts(credentials=True), "0a1b2c3d", MACHINE)]
)
def test_pods_of_a_build_pass_pod_security_restricted_and_have_no_token(job: Object) -> None:
    spec = job["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "serviceAccountName"} & set(spec)
    for volume in spec["volumes"]:
        assert set(volume) - {"name"} <= {"emptyDir", "secret"}
    for container in containers(job):
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]
    assert job["spec"]["backoffLimit"] == 0
    assert job["metadata"]["name"].startswith("b-uid-of-b-2-")


def test_a_script_s_request_never_exceeds_its_bound_of_disk() -> None:
    asked = {"requests": {"ephemeral-storage": "3Gi"}}
    job = run_job(replace(parts(), settings=replace(SETTINGS, resources=asked)), "0a1b2c3d", None)
    (script,) = job["spec"]["template"]["spec"]["containers"]
    assert script["resources"]["limits"]["ephemeral-storage"] == "3Gi"


@pytest.mark.parametrize("resources", [{}, {"limits": {"cpu": "1"}}, {"limits": {"ephemeral-storage": "3Gi"}}])
def test_no_container_fills_its_node_s_disk(resources: Object) -> None:
    made = parts()
    made = replace(made, settings=replace(SETTINGS, disk="7Gi", resources=resources, tolerations=({"key": "ci"},)))
    for job in (fetch_job(made), run_job(made, "0a1b2c3d", MACHINE)):
        assert job["spec"]["template"]["spec"]["tolerations"] == [{"key": "ci"}]
        for container in containers(job):
            own = (resources.get("limits") or {}).get("ephemeral-storage", "1Gi")
            limits = container["resources"]["limits"]
            assert limits["ephemeral-storage"] == (own if container["name"] == "script" else "7Gi")
            assert container["resources"]["requests"]["ephemeral-storage"] == "0", "a limit alone would be the request"
            assert limits.items() >= (resources.get("limits") or {}).items() or container["name"] != "script"


def test_secrets_are_mounted_where_git_runs_and_nowhere_else() -> None:
    for job in (fetch_job(parts(credentials=True)), run_job(parts(credentials=True), "0a1b2c3d", MACHINE)):
        for container in containers(job):
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert ("credentials" in mounted) == (container["name"] in ("fetch", "checkout"))
            assert ({"attempt", "machine"} & mounted != set()) == (container["name"] == "checkout")
    assert "credentials" not in {
        v["name"] for v in run_job(parts(), "0a1b2c3d", None)["spec"]["template"]["spec"]["volumes"]
    }


@pytest.mark.parametrize("machine", [MACHINE, None])
def test_no_script_starts_without_the_secret_of_its_nonce(machine: MachineSeen | None) -> None:
    spec = run_job(parts(), "0a1b2c3d", machine)["spec"]["template"]["spec"]
    volumes = {one["name"]: one["secret"] for one in spec["volumes"] if "secret" in one}
    wanted = {"attempt": "b-uid-of-b-2-0a1b2c3d"} | ({"machine": "b-uid-of-b-2"} if machine else {})
    assert {name: secret["secretName"] for name, secret in volumes.items()} == wanted
    assert not any("optional" in secret for secret in volumes.values())
    # A kubelet waits for what a container mounts, and for nothing else.
    assert volumes.keys() <= {mount["name"] for mount in spec["initContainers"][0]["volumeMounts"]}


def test_a_script_is_told_what_it_builds() -> None:
    job = run_job(parts(), "0a1b2c3d", MACHINE)
    told = env(job["spec"]["template"]["spec"]["containers"][0])
    assert told["CI"] == "true"
    for prefix in ("BERTH", "TRAVIS"):
        assert told[f"{prefix}_COMMIT"] == "ab" * 20
        assert told[f"{prefix}_BUILD_ID"] == "uid-of-b"
        assert told[f"{prefix}_BRANCH"] == "$$(HOME)", "the kubelet makes one dollar of two, and replaces nothing"
    assert told["BERTH_REPO_URL"] == "https://git.example.org/lab/arm.git"
    assert told["TRAVIS_REPO_SLUG"] == "lab/arm"
    assert (told["BERTH_INSTANCE_HOST"], told["BERTH_INSTANCE_PORT"]) == ("198.51.100.7", "30123")
    assert not [
        name
        for name in env(run_job(parts(), "0a1b2c3d", None)["spec"]["template"]["spec"]["containers"][0])
        if "INSTANCE" in name
    ]


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://h.test/lab/arm.git", "lab/arm"),
        ("ssh://git@h.test:22/a/b/c", "b/c"),
        ("http://h.test", ""),
        ("git://h.test/x.git/", "x"),
    ],
)
def test_slugs(url: str, wanted: str) -> None:
    assert slug(url) == wanted


def reached(*allowed: str) -> Egress:
    """Where repositories may be, in a cluster that has 9.9.0.0/16 and machines in 192.168.7.0/24."""
    networks = tuple(ip_network(text) for text in allowed if text)
    ci = replace(SETTINGS, allowed=networks)
    return repository_egress(
        replace(CONFIG, ci=ci, own_networks=(ip_network("9.9.0.0/16"),), machines=(ip_network("192.168.7.0/24"),))
    )


@pytest.mark.parametrize(
    ("url", "allowed", "refusal"),
    [
        ("https://git.example.org/a", "", ""),
        ("https://8.8.8.8/a", "", ""),
        ("https://10.1.2.3/a", "", "10.1.2.3 is not public"),
        ("https://10.1.2.3/a", "10.1.0.0/16", ""),
        ("https://169.254.169.254/a", "", "is not public"),
        ("https://127.0.0.1/a", "", "is not public"),
        ("https://9.9.9.9/a", "", "is not public"),
        ("ssh://git@[fd00::1]/a", "", "is not public"),
        ("ssh://git@[2a00::1]/a", "", ""),
        ("ssh://git@[::ffff:10.0.0.1]/a", "", "is not public"),
        ("https://169.254.169.254/a", "169.254.0.0/16", "is not public"),
        ("https://168.63.129.16/a", "0.0.0.0/0", "is not public"),
        ("https://9.9.9.9/a", "9.9.9.0/24", "is not public"),
        ("https://192.168.7.4/a", "192.168.0.0/16", "is not public"),
        ("ssh://git@[64:ff9b::a9fe:a9fe]/a", "64:ff9b::/96", "is not public"),
        ("https://h.test:99999/a", "", "cannot be used"),
        ("http://2852039166/a", "", "another notation"),
        ("http://0xa9fea9fe/a", "", "another notation"),
        ("http://127.1/a", "", "another notation"),
        ("http://0/a", "", "another notation"),
        ("http://169.254.169.254./a", "", "another notation"),
        ("http://h.0x7f/a", "", "another notation"),
        ("http://localhost/a", "127.0.0.0/8", "whichever machine asks"),
        ("http://LOCALHOST./a", "", "whichever machine asks"),
        ("http://git.localhost/a", "", "whichever machine asks"),
        ("git://h.test:5432/a", "", "ci.repositoryPorts"),
        ("https://8.8.8.8:8444/a", "", "ci.repositoryPorts"),
        ("https://10.1.2.3:6443/a", "10.1.0.0/16", "ci.repositoryPorts"),
        ("https://h.test:8443/a", "", ""),
        ("http://h.test:443/a", "", ""),
        ("https://ghp_secret@h.test/a", "", "without password or query"),
        ("https://h.test/a?private_token=secret", "", "without password or query"),
    ],
)
def test_which_repositories_are_fetched_from(url: str, allowed: str, refusal: str) -> None:
    told = why_not(url, reached(allowed), {8443})
    assert bool(told) == bool(refusal)
    assert refusal in told
    assert "secret@" not in told
    assert "=secret" not in told


def test_a_pod_reaches_its_repository_s_port_and_nobody_comes_in() -> None:
    made = policy(parts().build, repository_rules("https://8.8.8.8:8443/a", reached(), DNS))
    assert made["spec"]["ingress"] == []
    assert made["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert made["spec"]["egress"] == [
        {"to": [{"ipBlock": {"cidr": "8.8.8.8/32"}}], "ports": [{"protocol": "TCP", "port": 8443}]}
    ]
    assert made["spec"]["podSelector"]["matchLabels"] == {"berth.dev/build": "uid-of-b"}


def test_an_address_that_is_out_of_reach_gets_no_rule() -> None:
    assert repository_rules("https://192.168.7.4/a", reached("192.168.0.0/16"), DNS) == []


def test_a_repository_by_name_is_a_public_address_or_one_that_is_allowed() -> None:
    rule, dns = repository_rules("ssh://git@h.test/a", reached("10.1.0.0/16", "192.168.0.0/16"), DNS)
    assert rule["ports"] == [{"protocol": "TCP", "port": 22}]
    blocks = {block["ipBlock"]["cidr"]: block["ipBlock"].get("except", []) for block in rule["to"]}
    assert "10.1.0.0/16" in blocks
    for refused in ("10.0.0.0/8", "169.254.0.0/16", "9.9.0.0/16", "198.18.0.0/15", "192.168.7.0/24"):
        assert any(refused in inner for inner in blocks.values()), refused
    assert dns["to"] == DNS
    assert {port["port"] for port in dns["ports"]} == {53}


def test_pods_of_a_build_ask_the_resolvers_that_a_value_names() -> None:
    asked = dns_fields(replace(CONFIG, resolvers=(ip_address("192.0.2.53"),)))
    for made in (parts(), replace(parts(), dns=asked)):
        for job in (fetch_job(made), run_job(made, "0a1b2c3d", MACHINE)):
            spec = job["spec"]["template"]["spec"]
            assert {key: spec[key] for key in ("dnsPolicy", "dnsConfig") if key in spec} == made.dns


def test_a_machine_is_reached_where_it_is_announced_and_at_its_pod() -> None:
    announced, pod = machine_rules(MachineDoor("198.51.100.7", 30123, {"berth.dev/epoch": "3"}))
    assert announced["to"] == [{"ipBlock": {"cidr": "198.51.100.7/32"}}]
    assert announced["ports"] == [{"protocol": "TCP", "port": 30123}]
    assert pod["ports"] == [{"protocol": "TCP", "port": 22}]


def test_settings_from_the_environment() -> None:
    assert ci_settings({}) is None
    assert ci_settings({"BERTH_CI_IMAGE": "i"}) == CiSettings("i")
    found = ci_settings({"BERTH_CI_IMAGE": "i", "BERTH_CI_EGRESS": "10.0.0.0/8", "BERTH_CI_MAX_TIMEOUT": "2m"})
    assert found is not None
    assert (found.egress, found.public, found.max_timeout) == ((ip_network("10.0.0.0/8"),), False, 120)
    for text, egress, public in (("none", (), False), ("open", (), True), ("open,10.0.0.0/8", found.egress, True)):
        read = ci_settings({"BERTH_CI_IMAGE": "i", "BERTH_CI_EGRESS": text})
        assert read is not None
        assert (read.egress, read.public) == (egress, public)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BERTH_CI_CONCURRENT", "0"),
        ("BERTH_CI_MAX_TIMEOUT", "soon"),
        ("BERTH_CI_EGRESS", "everywhere"),
        ("BERTH_CI_ALLOWED_CIDRS", "10.0.0.1/8"),
        ("BERTH_CI_REPOSITORY_PORTS", "0"),
        ("BERTH_CI_REPOSITORY_PORTS", "8443,65536"),
        ("BERTH_CI_REPOSITORY_PORTS", "https"),
        ("BERTH_CI_RESOURCES", "[]"),
        ("BERTH_CI_NODE_SELECTOR", "{"),
        ("BERTH_CI_TOLERATIONS", "{}"),
    ],
)
def test_a_setting_that_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        ci_settings({"BERTH_CI_IMAGE": "i", name: value})
