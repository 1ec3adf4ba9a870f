"""The Job of a hook: what it is given, and what it is kept from."""

from dataclasses import replace
from typing import Any

import pytest

from berth_core.firewall import Sources
from berth_core.resources.workspacetype import Hook
from berth_operator.instances.manifests import hook
from berth_operator.instances.manifests.pod import pod
from berth_operator.instances.manifests.policy import closed_policy

from ..samples import CONFIG, ID, lease_parts

NAME = f"i-{ID}-e3-reset"


def built(fields: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    return hook.job(
        lease_parts(**spec), "reset", "0a1b2c3d", Hook(command=["/reset", "--all"], **(fields or {})), CONFIG
    )


def test_it_is_tried_once_and_within_its_time() -> None:
    spec = built({"timeout": 7})["spec"]
    assert (spec["backoffLimit"], spec["activeDeadlineSeconds"], spec["podReplacementPolicy"]) == (0, 7, "Failed")
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_it_is_fenced_and_labelled_as_everything_of_the_lease() -> None:
    made = built()
    labels = {
        "berth.dev/instance": ID,
        "berth.dev/epoch": "3",
        "berth.dev/deployment": "one",
        "berth.dev/hook": "reset",
        "app.kubernetes.io/managed-by": "berth",
    }
    assert (made["metadata"]["name"], made["metadata"]["labels"]) == (NAME, labels)
    assert made["metadata"]["ownerReferences"][0]["kind"] == "Instance"
    assert made["spec"]["template"]["metadata"] == {"labels": labels, "finalizers": ["berth.dev/fence"]}
    secret = hook.secret(lease_parts(), "reset", "0a1b2c3d")
    assert (secret["metadata"]["name"], secret["metadata"]["labels"]) == (f"{NAME}-0a1b2c3d", labels)
    mounted = [v["secret"]["secretName"] for v in made["spec"]["template"]["spec"]["volumes"] if "secret" in v]
    assert mounted == [f"{NAME}-0a1b2c3d"], "without its own it cannot start, and it sees no other"


def test_it_runs_where_the_workspace_runs_with_the_same_parts_and_no_more_power() -> None:
    template = {
        "image": "workspace:1",
        "nodeSelector": {"site": "a"},
        "volumes": [{"name": "scratch", "mountPath": "/scratch", "emptyDir": {}}],
        "env": [{"name": "ROBOT", "value": "left"}],
    }
    overrides = {"nodeSelector": {"robot": "7"}, "devices": {"example.org/arm": 1}}
    made, workspace = (
        built(template=template, overrides=overrides),
        pod(lease_parts(template=template, overrides=overrides), CONFIG),
    )
    spec, beside = made["spec"]["template"]["spec"], workspace["spec"]
    for field in ("nodeSelector", "tolerations", "automountServiceAccountToken", "securityContext", "resourceClaims"):
        assert spec[field] == beside[field], field
    (container,), (of_the_user,) = spec["containers"], beside["containers"]
    for field in ("image", "imagePullPolicy", "resources", "securityContext"):
        assert container[field] == of_the_user[field], field
    assert {m["mountPath"] for m in container["volumeMounts"]} == {"/etc/berth/hook", "/scratch"}
    for forbidden in ("initContainers", "serviceAccountName", "hostNetwork", "hostPID"):
        assert forbidden not in spec


def test_its_own_image_and_what_it_is_told() -> None:
    env = [{"name": "BERTH_DEPLOYMENT", "value": "lie"}, {"name": "ROBOT", "value": "left"}]
    (container,) = built({"image": "tool:2"}, template={"image": "workspace:1", "env": env})["spec"]["template"][
        "spec"
    ]["containers"]
    assert (container["image"], container["command"]) == ("tool:2", ["/reset", "--all"])
    told = {"ROBOT": "left", "BERTH_HOOK": "reset", "BERTH_DEPLOYMENT": "one", "BERTH_INSTANCE": ID}
    assert [(v["name"], v["value"]) for v in container["env"]] == list(told.items())


@pytest.mark.parametrize("sources", list(Sources))
def test_no_user_comes_in_while_it_runs(sources: Sources) -> None:
    made = closed_policy(lease_parts(), replace(CONFIG, sources=sources))
    assert made["spec"]["podSelector"]["matchLabels"].items() <= built()["metadata"]["labels"].items()
    (operator,) = made["spec"]["ingress"]
    assert [set(peer) for peer in operator["from"]] == [{"namespaceSelector", "podSelector"}]
