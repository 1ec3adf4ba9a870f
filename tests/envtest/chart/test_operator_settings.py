"""Values about egress reach the operator, as the process reads them."""

from ipaddress import ip_address, ip_network

from berth_operator.settings.config import Config

from .conftest import Helm


def config(helm: Helm, *values: str) -> Config:
    """Settings as the process reads them; a value is what follows ``--set``, or an option of its own."""
    objects = helm.render(*(value if value.startswith("--") else f"--set={value}" for value in values))
    (found,) = [o for o in objects if o["kind"] == "Deployment" and o["metadata"]["name"] == "berth-operator"]
    (container,) = found["spec"]["template"]["spec"]["containers"]
    return Config.from_environment({one["name"]: one["value"] for one in container["env"] if "value" in one})


def test_nothing_but_public_addresses_is_reached_by_default(helm: Helm) -> None:
    plain = config(helm)
    assert (plain.blocked, plain.machines, plain.resolvers, plain.block_cluster) == ((), (), (), True)
    assert plain.ci is not None
    assert (plain.ci.public, plain.ci.egress, plain.ci.allowed) == (True, (), ())


def test_machines_and_resolvers_are_named_by_value(helm: Helm) -> None:
    changed = config(
        helm,
        "instances.machineCidrs={192.168.7.0/24,2a00:7::/64}",
        "instances.resolvers={192.0.2.53,fd00::53}",
        "ci.egress={open,192.168.9.0/24}",
    )
    assert changed.machines == (ip_network("192.168.7.0/24"), ip_network("2a00:7::/64"))
    assert changed.resolvers == (ip_address("192.0.2.53"), ip_address("fd00::53"))
    assert changed.ci is not None
    assert (changed.ci.public, changed.ci.egress) == (True, (ip_network("192.168.9.0/24"),))


def test_an_empty_list_of_networks_opens_none(helm: Helm) -> None:
    closed = config(helm, "--set-json=ci.egress=[]")
    assert closed.ci is not None
    assert (closed.ci.public, closed.ci.egress) == (False, ())


def test_the_operator_reaches_the_networks_of_machines_and_none_by_default(helm: Helm) -> None:
    def to(*values: str) -> list[dict[str, object]]:
        objects = helm.render(*values)
        (policy,) = [o for o in objects if o["kind"] == "NetworkPolicy" and o["metadata"]["name"] == "berth-operator"]
        blocks = [rule for rule in policy["spec"]["egress"] if any("ipBlock" in peer for peer in rule.get("to", ()))]
        assert all(rule["ports"] == [{"protocol": "TCP", "port": 1, "endPort": 65535}] for rule in blocks)
        return [peer["ipBlock"] for rule in blocks for peer in rule["to"]]

    assert to() == []
    assert to("--set=instances.machineCidrs={192.168.7.0/24,2a00:7::/64}") == [
        {"cidr": "192.168.7.0/24"},
        {"cidr": "2a00:7::/64"},
    ]
