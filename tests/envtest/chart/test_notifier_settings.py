"""Values for webhooks reach the notifier: environment, files, and egress."""

from ipaddress import ip_network
from typing import Any

from berth_core.firewall import lies_in, special
from berth_core.process.settings import networks
from berth_notifier.addresses import Policy
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
    assert plain.policy == Policy()
    assert (plain.ca_file, plain.retention.days) == (None, 7)
    changed = config(
        helm,
        "namespaces.workspaces={lab-a,lab-b}",
        "webhooks.allowedCidrs={192.168.7.0/24,fd00:7::/64}",
        "instances.blockedCidrs={8.8.4.0/24}",
        "instances.machineCidrs={192.168.9.0/24}",
        "webhooks.caConfigMap=lab-ca",
        "webhooks.retentionDays=30",
    )
    assert changed.workspace_namespaces == ("lab-a", "lab-b")
    assert changed.policy == Policy(
        allowed=networks("192.168.7.0/24,fd00:7::/64"),
        blocked=networks("8.8.4.0/24"),
        machines=networks("192.168.9.0/24"),
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
    values = ["instances.blockedCidrs={" + ",".join(blocked) + "}", "instances.machineCidrs={9.9.9.0/24,2a00:7::/64}"]
    dns, public, besides = ways_out(helm, *values)
    assert dns == [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]
    assert besides == []
    assert tuple(ip_network(peer["ipBlock"]["cidr"]) for peer in public) == special.PUBLIC
    own = {"8.8.4.0/24", "2600:1f00::/24", "9.9.9.0/24", "2a00:7::/64"}
    listed = [text for peer in public for text in peer["ipBlock"]["except"]]
    assert own <= set(listed)
    assert len(listed) == len(set(listed))
    # A collapsed list leaves open the addresses that the process takes for public.
    left_out = [ip_network(text) for text in listed if text not in own]
    for network in special.networks((*special.NEVER, *special.NOT_PUBLIC)):
        if any(lies_in(network, public) for public in special.PUBLIC):
            assert any(lies_in(network, other) for other in left_out), network
    for network in left_out:
        assert all(special.why_not_public(address) for address in (network[0], network[-1])), network


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
