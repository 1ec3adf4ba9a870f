import base64
import json
from dataclasses import replace
from typing import Any

import pytest

from berth_core import names
from berth_core.firewall import Rule, Sources
from berth_operator.agents.certificates import KeyPair
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.pod import pod
from berth_operator.instances.manifests.policy import policy
from berth_operator.instances.manifests.secrets import agent_secret, workspace_secret
from berth_operator.instances.manifests.service import service
from berth_operator.instances.warm.manifests import made_from, warm_pod
from berth_operator.podspec.secrets import new_host_key

from ..samples import CONFIG, ID, bound, deployment, type_

EXACT = replace(CONFIG, sources=Sources.EXACT)
KEY = "ssh-ed25519 AAAA"


def parts(*, held: bool = False, epoch: int = 3, overrides: dict[str, Any] | None = None, **spec: Any) -> LeaseParts:
    """Parts of the warm pod for an epoch of `one`, with or without a holder."""
    instance = bound(sshKeys=["ssh-ed25519 A"]) if held else None
    return LeaseParts(instance, deployment(overrides=overrides or {}), type_(**spec), epoch, warm=True)


NAME = names.warm_object(deployment().public_id, 3)


def test_what_is_kept_warm_carries_the_epoch_and_nobody() -> None:
    manifests = [
        warm_pod(parts(), CONFIG, KEY),
        service(parts(), CONFIG, ()),
        policy(parts(), (), CONFIG),
        workspace_secret(parts(), new_host_key()),
        agent_secret(parts(), KeyPair("cert", "key"), "ca"),
    ]
    assert [m["metadata"]["name"] for m in manifests] == [NAME, NAME, NAME, NAME, f"{NAME}-agent"]
    for manifest in manifests:
        own = {} if manifest["kind"] != "Pod" else names.type_labels("bench")
        assert manifest["metadata"]["labels"] == {"berth.dev/warm": "true", **names.epoch_labels(3, "one"), **own}
        (owner,) = manifest["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["controller"], owner["blockOwnerDeletion"]) == (
            "WorkspaceDeployment",
            False,
            False,
        )
        fenced = [names.FENCE_FINALIZER] if manifest["kind"] == "Pod" else None
        assert manifest["metadata"].get("finalizers") == fenced
        assert ID not in json.dumps(manifest)


def test_it_has_no_key_and_the_closed_ruleset() -> None:
    secret = agent_secret(parts(), KeyPair("cert", "key"), "ca")
    initial = json.loads(base64.b64decode(secret["data"]["initial.json"]))
    assert (initial["epoch"], initial["generation"], initial["authorizedKeys"]) == (3, 0, [])
    assert "jump sources" in initial["ruleset"]
    assert "accept" not in initial["ruleset"].split("chain sources")[1].split("}")[0]


def test_names_fit_whatever_the_deployment_is_called() -> None:
    long = deployment("a" * 63)
    name = LeaseParts(None, long, type_(), 10**15, warm=True).name
    assert len(name) <= 63, "a pod's name is a label of its agent's DNS name"


def test_one_that_somebody_has_and_that_is_lost_is_made_again_as_it_was() -> None:
    again, first = pod(parts(held=True), CONFIG), warm_pod(parts(), CONFIG, KEY)
    assert again["spec"] == first["spec"]
    for field in ("labels", "finalizers", "ownerReferences"):
        assert again["metadata"][field] == first["metadata"][field]


def test_the_holder_changes_nothing_but_the_pod_where_all_sources_may_come() -> None:
    rule = Rule.parse("203.0.113.7", "ACCEPT")
    assert policy(parts(held=True), (rule,), CONFIG) == policy(parts(), (), CONFIG)
    assert policy(parts(held=True), (rule,), EXACT) != policy(parts(), (), EXACT)
    assert service(parts(held=True), CONFIG, ()) == service(parts(), CONFIG, ())


@pytest.mark.parametrize(
    "other",
    [
        {"template": {"image": "workspace:2"}},
        {"template": {"image": "workspace:1", "env": [{"name": "A", "value": "1"}]}},
        {"overrides": {"devices": {"example.com/arm": 1}}},
        {"epoch": 4},
    ],
)
def test_what_would_be_made_differently_has_another_digest(other: dict[str, Any]) -> None:
    assert made_from(parts(**other), CONFIG) != made_from(parts(), CONFIG)


def test_a_policy_of_its_own_is_made_again_with_the_pod_and_that_of_the_type_follows_by_itself() -> None:
    closed = parts(network={"egress": "none"})
    assert made_from(closed, EXACT) != made_from(parts(), EXACT)
    assert made_from(closed, CONFIG) == made_from(parts(), CONFIG)


def test_what_the_pod_does_not_depend_on_leaves_the_digest() -> None:
    same = parts(description="another word", limits={"maxPerUser": 1}, warm=True)
    assert made_from(same, CONFIG) == made_from(parts(), CONFIG) == made_from(parts(held=True), CONFIG)
    assert made_from(parts(), replace(CONFIG, agent_image="berth:2")) != made_from(parts(), CONFIG)
    assert warm_pod(parts(), CONFIG, KEY)["metadata"]["annotations"] == {
        "berth.dev/made-from": made_from(parts(), CONFIG),
        "berth.dev/host-key": KEY,
    }


def test_its_secrets_are_named_by_the_nonce_and_it_says_which() -> None:
    named = replace(parts(), nonce="0a1b2c3d")
    made = warm_pod(named, CONFIG, KEY)
    mounted = {volume["secret"]["secretName"] for volume in made["spec"]["volumes"] if "secret" in volume}
    assert mounted == {f"{NAME}-0a1b2c3d", f"{NAME}-0a1b2c3d-agent"} == set(named.secrets)
    assert made["metadata"]["annotations"]["berth.dev/nonce"] == "0a1b2c3d"
    assert made_from(named, CONFIG) == made_from(parts(), CONFIG), "one of an earlier version has none, and serves"


def test_without_a_nonce_names_are_those_of_an_earlier_version() -> None:
    held = LeaseParts(bound(), deployment(), type_(), 3)
    assert held.secrets == (f"i-{ID}-e3", f"i-{ID}-e3-agent")
    assert replace(held, nonce="0a1b2c3d").secrets == (f"i-{ID}-e3-0a1b2c3d", f"i-{ID}-e3-0a1b2c3d-agent")
    assert parts().secrets == (NAME, f"{NAME}-agent")


def test_each_making_has_a_network_policy_of_its_own() -> None:
    first, second = (policy(replace(parts(), nonce=nonce), (), CONFIG) for nonce in ("n1", "n2"))
    assert first["metadata"]["annotations"] != second["metadata"]["annotations"]
    assert first["spec"] == second["spec"]
