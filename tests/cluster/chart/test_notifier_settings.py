"""What the values say about webhooks reaches the notifier: environment, files, and where packets of it may go."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from berth_notifier import addresses
from berth_notifier.config import Config

from .conftest import NAMESPACE, Helm

RELEASE_ROLE = {"name": "berth-notifier", "namespace": NAMESPACE}


def found(helm: Helm, kind: str, *values: str) -> dict[str, Any]:
    objects = helm.render(*(f"--set={value}" for value in values))
    (obj,) = [o for o in objects if o["kind"] == kind and o["metadata"]["name"] == "berth-notifier"]
    return obj


def pod(helm: Helm, *values: str) -> dict[str, Any]:
    spec: dict[str, Any] = found(helm, "Deployment", *values)["spec"]["template"]["spec"]
    return spec


def config(helm: Helm, *values: str) -> Config:
    """Settings as the process reads them."""
    (container,) = pod(helm, *values)["containers"]
    return Config.from_environment({one["name"]: one["value"] for one in container["env"]})


def ways_out(helm: Helm, *values: str) -> tuple[list[Any], list[Any], list[Any]]:
    """Egress: ports of DNS; public blocks; those that are allowed besides."""
    dns, public, *besides = found(helm, "NetworkPolicy", *values)["spec"]["egress"]
    assert "to" not in dns
    return dns["ports"], public["to"], [peer for rule in besides for peer in rule["to"]]


def test_the_values_reach_the_process(helm: Helm) -> None:
    plain = config(helm)
    assert plain.workspace_namespaces == ("berth-workspaces",)
    assert plain.policy == addresses.Policy(blocked=addresses.networks(["169.254.0.0/16"]))
    assert (plain.ca_file, plain.retention.days) == (None, 7)
    changed = config(
        helm,
        "namespaces.workspaces={lab-a,lab-b}",
        "webhooks.allowedCidrs={192.168.7.0/24,fd00:7::/64}",
        "instances.blockedCidrs={8.8.4.0/24}",
        "webhooks.caConfigMap=lab-ca",
        "webhooks.retentionDays=30",
    )
    assert changed.workspace_namespaces == ("lab-a", "lab-b")
    assert changed.policy == addresses.Policy(
        allowed=addresses.networks(["192.168.7.0/24", "fd00:7::/64"]), blocked=addresses.networks(["8.8.4.0/24"])
    )
    assert (str(changed.ca_file), changed.retention.days) == ("/etc/berth/webhook-ca/ca.crt", 30)


def test_the_signing_keys_are_mounted_and_nothing_else_of_the_cluster(helm: Helm) -> None:
    spec = pod(helm)
    assert config(helm).keys.as_posix() == "/etc/berth/webhook-signing"
    sources = [{key: value for key, value in volume.items() if key != "name"} for volume in spec["volumes"]]
    assert [source for source in sources if "emptyDir" not in source] == [
        {"secret": {"secretName": "berth-webhook-signing", "defaultMode": 0o440}}
    ]
    with_ca = pod(helm, "webhooks.caConfigMap=lab-ca")
    assert {"name": "webhook-ca", "configMap": {"name": "lab-ca"}} in with_ca["volumes"]


def test_packets_go_nowhere_where_the_process_refuses_to_send(helm: Helm) -> None:
    blocked = ["8.8.4.0/24", "2600:1f00::/24", "10.0.0.0/8", "fd00::/8"]
    dns, public, besides = ways_out(helm, "instances.blockedCidrs={" + ",".join(blocked) + "}")
    assert dns == [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    assert besides == []
    assert [peer["ipBlock"]["cidr"] for peer in public] == ["0.0.0.0/0", "2000::/3"]
    four, six = ([ip_network(text) for text in peer["ipBlock"]["except"]] for peer in public)
    assert set(four) == {IPv4Network("8.8.4.0/24"), *(network for network, _ in addresses._REFUSED_4)}
    public_6 = [network for network, _ in addresses._REFUSED_6 if network.subnet_of(addresses._PUBLIC_6)]
    assert set(six) == {IPv6Network("2600:1f00::/24"), *public_6}
    assert len(four) == len(set(four))


def test_what_is_allowed_is_open_besides(helm: Helm) -> None:
    _, _, besides = ways_out(helm, "webhooks.allowedCidrs={10.1.0.0/16,10.0.0.0/8}")
    assert besides == [{"ipBlock": {"cidr": "10.1.0.0/16"}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}]
    assert "ingress" not in found(helm, "NetworkPolicy")["spec"], "nobody asks it"


def test_the_tokens_of_the_listed_secrets_can_be_read_and_no_others(helm: Helm) -> None:
    def roles(*values: str) -> list[dict[str, Any]]:
        objects = helm.render(*(f"--set={value}" for value in values))
        return [o for o in objects if o["kind"] == "Role" and o["metadata"] == o["metadata"] | RELEASE_ROLE]

    assert (config(helm).status_secrets, roles()) == ((), [])
    listed = "ci.statusSecrets={hub-token,lab-token}"
    assert config(helm, listed).status_secrets == ("hub-token", "lab-token")
    (role,) = roles(listed)
    assert config(helm, listed).namespace == role["metadata"]["namespace"]
    assert role["rules"] == [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["hub-token", "lab-token"], "verbs": ["get"]}
    ]
