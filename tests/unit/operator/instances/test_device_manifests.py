"""Claims for the devices of a lease's machine, and who has them: the workspace and hooks, nobody else."""

from dataclasses import replace
from typing import Any

from berth_core.resources.instance import Repo
from berth_core.resources.workspacetype import Hook
from berth_operator.instances.manifests import claim, hook
from berth_operator.instances.manifests.common import LeaseParts
from berth_operator.instances.manifests.isolation import of_lease
from berth_operator.instances.manifests.pod import pod
from berth_operator.settings.runtimes import NodeRuntimes, Runtimes, UserNamespaces

from ..samples import CONFIG, ID, bound, deployment, type_

SELECTOR = {"cel": {"expression": 'device.attributes["x.test"].serial == "A7"'}}
ARM = {"name": "arm", "deviceClassName": "devices.berth.dev", "selectors": [SELECTOR]}
CAMERA = {"name": "camera", "deviceClassName": "cameras"}
LATER = {"name": "arm", "deviceClassName": "elsewhere"}
BESIDE = {"name": "gpu", "resourceClaimTemplateName": "one-gpu"}


def parts(*devices: dict[str, Any], **template: Any) -> LeaseParts:
    """A lease of a machine with these devices when it was bound, and with another since."""
    kind = type_(template={"image": "workspace:1", **template})
    since = deployment(machine={"devices": [LATER]})
    return LeaseParts(bound(status={"machine": {"devices": list(devices)}}), since, kind, 3, nonce="0a1b2c3d")


def test_each_device_of_the_status_is_one_claim_for_exactly_one_device_in_the_leases_name() -> None:
    arm, camera = claim.claims(parts(ARM, CAMERA))
    assert arm["metadata"]["name"] == f"i-{ID}-e3-arm"
    assert arm["metadata"]["labels"] == parts().labels
    (owner,) = arm["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"]) == ("Instance", ID)
    (request,) = arm["spec"]["devices"]["requests"]
    assert request["exactly"] == {
        "deviceClassName": "devices.berth.dev",
        "selectors": [SELECTOR],
        "allocationMode": "ExactCount",
        "count": 1,
    }
    assert camera["spec"]["devices"]["requests"][0]["exactly"]["selectors"] == []


def test_workspace_and_hooks_have_the_claims_beside_those_of_the_type_and_other_containers_have_none() -> None:
    lease = parts(ARM, CAMERA, resourceClaims=[BESIDE])
    lease = replace(lease, instance=lease.holder.model_copy(update={"spec": lease.holder.spec.model_copy(
        update={"repo": Repo(url="https://x.test/a")})}))  # fmt: skip
    job = hook.job(lease, "reset", "0a1b2c3d", Hook(command=["/reset"]), CONFIG)
    for spec in (pod(lease, CONFIG)["spec"], job["spec"]["template"]["spec"]):
        assert spec["resourceClaims"] == [
            BESIDE,
            {"name": "berth-arm", "resourceClaimName": f"i-{ID}-e3-arm"},
            {"name": "berth-camera", "resourceClaimName": f"i-{ID}-e3-camera"},
        ]
        having = [one for one in (*spec["containers"], *spec.get("initContainers", ())) if "claims" in one["resources"]]
        assert [one["name"] for one in having] == [spec["containers"][0]["name"]]
        assert having[0]["resources"]["claims"] == [{"name": "gpu"}, {"name": "berth-arm"}, {"name": "berth-camera"}]


def test_what_nobody_has_yet_has_no_device_and_a_machine_without_devices_has_none() -> None:
    nobody = LeaseParts(None, deployment(machine={"devices": [ARM]}), type_(), 4, warm=True)
    for lease in (nobody, parts()):
        assert pod(lease, CONFIG)["spec"]["resourceClaims"] == []
        assert "claims" not in pod(lease, CONFIG)["spec"]["containers"][0]["resources"]


def test_a_pod_with_devices_stays_in_the_nodes_own_user_namespace() -> None:
    able = Runtimes({"node-1": NodeRuntimes({}, frozenset({""}))}, {})
    config = replace(CONFIG, user_namespaces=UserNamespaces.AUTO, runtimes=able)
    verdict = of_lease(parts(ARM), config, vpn=False)
    assert (verdict.on, verdict.reason) == (False, "NeedsTheNode")
