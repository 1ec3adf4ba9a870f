from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest

from berth_core.firewall import Egress
from berth_operator.settings.config import CloneSettings, Config
from berth_operator.settings.confinement import Confinement

LEAST = {
    "BERTH_NAMESPACE": "berth",
    "BERTH_WORKSPACE_NAMESPACES": "lab-a, lab-b",
    "BERTH_ACCESS_NAMESPACE": "berth-access",
    "BERTH_AGENT_IMAGE": "berth:1",
}


def test_defaults() -> None:
    config = Config.from_environment(LEAST)
    assert config.workspace_namespaces == ("lab-a", "lab-b")
    assert (config.service_type, config.listen, config.kubeconfig) == ("NodePort", 8080, None)
    assert config.identity
    assert config.history_retention == timedelta(days=30)
    assert config.probe_interval is None
    assert Config.from_environment(LEAST | {"BERTH_PROBE_INTERVAL": "off"}).probe_interval is None


def test_bounds_in_bytes_may_be_as_large_as_the_chart_allows() -> None:
    names = ("BERTH_HISTORY_BYTES_PER_NAMESPACE", "BERTH_CI_KEPT_BYTES_PER_NAMESPACE")
    config = Config.from_environment(LEAST | dict.fromkeys(names, str(1 << 40)) | {"BERTH_CI_IMAGE": "berth-ci:1"})
    assert config.history_bytes.per_namespace == 1 << 40
    assert config.ci is not None
    assert config.ci.kept_bytes.per_namespace == 1 << 40


def test_everything() -> None:
    config = Config.from_environment(
        LEAST
        | {
            "BERTH_SERVICE_TYPE": "LoadBalancer",
            "BERTH_NETWORK_POLICY_SOURCES": "any",
            "BERTH_NODE_ADDRESSES": '{"node-1": "203.0.113.5"}',
            "BERTH_BLOCKED_CIDRS": "10.0.0.0/8,fd00::/8",
            "BERTH_BLOCK_CLUSTER_NETWORKS": "false",
            "BERTH_MACHINE_CIDRS": "192.168.7.0/24",
            "BERTH_RESOLVERS": "192.0.2.53,2001:db8::53",
            "BERTH_USER_NAMESPACES": "always",
            "BERTH_INSTANCE_RUNTIME_CLASS": "gvisor",
            "BERTH_INSTANCE_SECCOMP_PROFILE": '{"type": "Localhost", "localhostProfile": "lab.json"}',
            "BERTH_INSTANCE_APPARMOR_PROFILE": '{"type": "RuntimeDefault"}',
            "BERTH_HISTORY_RETENTION": "2w",
            "BERTH_PROBE_INTERVAL": "90s",
            "BERTH_LISTEN": "9090",
        }
    )
    assert config.service_type == "LoadBalancer"
    assert config.sources == "any"
    assert config.node_addresses == {"node-1": "203.0.113.5"}
    assert config.blocked == (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))
    assert config.machines == (ip_network("192.168.7.0/24"),)
    assert config.out_of_reach == (*config.blocked, *config.machines)
    assert config.resolvers == (ip_address("192.0.2.53"), ip_address("2001:db8::53"))
    assert (config.user_namespaces, config.listen) == ("always", 9090)
    assert config.confinement == Confinement(
        "gvisor", {"type": "Localhost", "localhostProfile": "lab.json"}, {"type": "RuntimeDefault"}
    )
    assert config.history_retention == timedelta(days=14)
    assert config.probe_interval == timedelta(seconds=90)


@pytest.mark.parametrize(
    ("variable", "field"), [("BERTH_MACHINE_CIDRS", "machines"), ("BERTH_BLOCKED_CIDRS", "blocked")]
)
def test_networks_in_the_form_of_ipv6_close_what_they_are(variable: str, field: str) -> None:
    config = Config.from_environment(LEAST | {variable: "::ffff:192.168.7.0/120"})
    assert getattr(config, field) == (ip_network("192.168.7.0/24"),)
    assert not Egress((ip_network("192.168.0.0/16"),), blocked=config.out_of_reach).reaches(ip_network("192.168.7.4"))


@pytest.mark.parametrize(
    ("value", "means"), [("", "auto"), ("auto", "auto"), ("never", "never"), ("true", "always"), ("false", "never")]
)
def test_user_namespaces_are_for_whoever_can_and_values_of_before_keep_their_meaning(value: str, means: str) -> None:
    assert Config.from_environment(LEAST | {"BERTH_USER_NAMESPACES": value}).user_namespaces == means


def test_what_clones_has_an_image_or_nothing_is_cloned() -> None:
    assert Config.from_environment(LEAST).clone is None
    image = {"BERTH_CLONE_IMAGE": "berth-ci:1"}
    assert Config.from_environment(LEAST | image).clone == CloneSettings("berth-ci:1", "IfNotPresent")
    always = {"BERTH_CLONE_IMAGE_PULL_POLICY": "Always"}
    assert Config.from_environment(LEAST | image | always).clone == CloneSettings("berth-ci:1", "Always")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BERTH_NAMESPACE", ""),
        ("BERTH_SERVICE_TYPE", "ClusterIP"),
        ("BERTH_NETWORK_POLICY_SOURCES", "some"),
        ("BERTH_NODE_ADDRESSES", "["),
        ("BERTH_NODE_ADDRESSES", '["x"]'),
        ("BERTH_BLOCKED_CIDRS", "10.0.0.1/8"),
        ("BERTH_MACHINE_CIDRS", "robots"),
        ("BERTH_RESOLVERS", "dns.example.org"),
        ("BERTH_LISTEN", "http"),
        ("BERTH_USER_NAMESPACES", "yes"),
        ("BERTH_INSTANCE_SECCOMP_PROFILE", "RuntimeDefault"),
        ("BERTH_INSTANCE_APPARMOR_PROFILE", "[]"),
        ("BERTH_HISTORY_RETENTION", "30"),
        ("BERTH_PROBE_INTERVAL", "hourly"),
    ],
)
def test_what_is_wrong_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        Config.from_environment(LEAST | {name: value})
