"""The chart on an API server: what it makes is valid, restricted, and stays or goes as promised."""

import json
from typing import Any

import pytest
import yaml
from amount import but_first

from berth_dev.envtest.apiserver import ApiServer
from berth_dev.errors import ClusterError
from berth_dev.paths import REPOSITORY

from .conftest import ACCESS, CHART, NAMESPACE, RELEASE, WORKSPACES, Helm, policies_hold

EVERYTHING = [
    "--set=networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=monitoring",
    "--set=networkPolicy.apiServer.cidrs[0]=192.0.2.1/32",
    "--set=api.ingress.enabled=true,api.ingress.host=berth.example.org,api.ingress.tls.secretName=berth-tls",
    "--set=api.tls.secretName=berth-api-tls",
    "--set=api.service.type=LoadBalancer,instances.serviceType=LoadBalancer,instances.userNamespaces=always",
    "--set=instances.runtimeClass=gvisor,instances.allowedRuntimeClasses={kata},ci.runtimeClass=kata",
    "--set=instances.seccompProfile.type=Localhost,instances.seccompProfile.localhostProfile=lab.json",
    "--set=ci.appArmorProfile.type=RuntimeDefault",
    "--set=image.pullSecrets[0]=registry,image.digest=sha256:" + "a" * 64,
    "--set=operator.nodeSelector.lab=a,operator.priorityClassName=system-cluster-critical",
    "--set=api.trustedProxies[0]=192.0.2.0/24,api.publicUrl=https://berth.example.org",
    "--set=instances.nodeAddresses.node-1=203.0.113.7",
    "--set=rateLimit.redisURLSecret.name=berth-redis,rateLimit.superusersExempt=true,rateLimit.refusalStatus=403",
    "--set=networkPolicy.redis.to[0].podSelector.matchLabels.app=redis,networkPolicy.oidc.to[0].ipBlock.cidr=192.0.2.0/24",
    "--set=tokens.oidc.issuer=https://login.example.org,tokens.oidc.jwksURL=https://login.example.org:8443/keys",
    "--set=tokens.oidc.caConfigMap=login-ca",
    "--set=webhooks.allowedCidrs={192.168.7.0/24,fd00:7::/64},webhooks.caConfigMap=lab-ca,notifier.replicas=2",
    "--set=instances.blockedCidrs={10.0.0.0/8,169.254.0.0/16,8.8.4.0/24,2600:1f00::/24}",
    "--set=instances.machineCidrs={192.168.7.0/24,9.9.9.0/24},instances.resolvers={192.0.2.53,fd00::53}",
    "--set=ci.egress={open,192.168.9.0/24}",
    "--set=namespaces.create=false,namespaces.workspaces[0]=berth-workspaces,namespaces.workspaces[1]=lab-b",
]


def pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pods as the Deployments and Jobs would make them."""
    owners = [obj for obj in objects if obj["kind"] in ("Deployment", "Job")]
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": owner["metadata"]["name"], "namespace": "restricted"}
            | {"labels": owner["spec"]["template"]["metadata"]["labels"]},
            "spec": owner["spec"]["template"]["spec"] | {"serviceAccountName": "default"},
        }
        for owner in owners
    ]


@pytest.mark.parametrize("words", but_first(EVERYTHING, [], ["-f", str(REPOSITORY / "dev/values.yaml")]))
def test_the_api_server_takes_everything(installed: ApiServer, helm: Helm, words: list[str]) -> None:
    installed.kubectl("create", "namespace", "lab-b", check=False)
    helm.install("--dry-run=server", *words)
    applying = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", "-"]
    made = helm.render(*words)
    said = installed.kubectl(*applying, stdin=yaml.safe_dump_all(made))
    assert said.count("serverside-applied (server dry run)") == len(made)


@pytest.mark.parametrize(("words", "number"), [([], 6), (EVERYTHING, 7)])
def test_our_pods_pass_the_strictest_pod_security(
    installed: ApiServer, helm: Helm, words: list[str], number: int
) -> None:
    level = "pod-security.kubernetes.io/enforce=restricted"
    installed.kubectl("create", "namespace", "restricted", check=False)
    installed.kubectl("label", "--overwrite", "namespace", "restricted", level)
    installed.kubectl("wait", "--for=create", "serviceaccount/default", "-n", "restricted", "--timeout=30s")
    made = pods(helm.render(*words))
    assert len(made) == number
    said = installed.kubectl("create", "--dry-run=server", "-f", "-", stdin=yaml.safe_dump_all(made))
    assert said.count("created (server dry run)") == len(made)


def test_a_privileged_pod_would_not_pass(installed: ApiServer, helm: Helm) -> None:
    """The test above tests something."""
    installed.kubectl("create", "namespace", "restricted", check=False)
    installed.kubectl(
        "label", "--overwrite", "namespace", "restricted", "pod-security.kubernetes.io/enforce=restricted"
    )
    installed.kubectl("wait", "--for=create", "serviceaccount/default", "-n", "restricted", "--timeout=30s")
    pod = pods(helm.render())[0]
    pod["spec"]["containers"][0]["securityContext"]["capabilities"] = {"add": ["NET_ADMIN"]}
    said = installed.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod), check=False)
    assert "created" not in said


def test_namespaces_have_their_levels(installed: ApiServer) -> None:
    def level(namespace: str) -> str:
        obj = json.loads(installed.kubectl("get", "namespace", namespace, "-o", "json"))
        return str(obj["metadata"]["labels"]["pod-security.kubernetes.io/enforce"])

    assert (level(WORKSPACES), level(ACCESS)) == ("privileged", "restricted")


def test_the_samples_are_taken(installed: ApiServer) -> None:
    installed.kubectl("apply", "--dry-run=server", "-f", str(REPOSITORY / "samples"))


def test_installing_again_changes_nothing(installed: ApiServer, helm: Helm) -> None:
    before = installed.kubectl("get", "deployments,services,roles,networkpolicies", "-n", NAMESPACE, "-o", "json")
    helm.install()
    after = installed.kubectl("get", "deployments,services,roles,networkpolicies", "-n", NAMESPACE, "-o", "json")
    generations = [
        {o["metadata"]["name"]: o["metadata"].get("generation") for o in json.loads(text)["items"]}
        for text in (before, after)
    ]
    assert generations[0] == generations[1]


def test_a_second_release_can_leave_what_the_cluster_has_once(installed: ApiServer, helm: Helm) -> None:
    values = [
        "--set=clusterResources.create=false",
        "--set=namespaces.workspaces[0]=lab-two",
        "--set=namespaces.access=lab-two-access",
    ]
    helm("install", "two", CHART, "-n", "berth-two", "--create-namespace", "--no-hooks", *values)
    helm("uninstall", "two", "-n", "berth-two", "--no-hooks")


def test_notes_tell_the_next_steps(helm: Helm) -> None:
    said = helm.install()
    assert "berth token create --user alice" in said
    assert "kubectl port-forward" in said
    behind = helm.install("--dry-run=server", *EVERYTHING[:3])
    assert "https://berth.example.org/" in behind
    assert "api.trustedProxies is empty" in behind


def test_hooks_run_in_order_and_clear_up(installed: ApiServer, helm: Helm) -> None:
    hooks = [obj for obj in helm.render() if "helm.sh/hook" in (obj["metadata"].get("annotations") or {})]
    order: dict[str, list[tuple[int, str]]] = {}
    for hook in hooks:
        notes = hook["metadata"]["annotations"]
        stays = hook["kind"] == "Job" and hook["metadata"]["name"] == "berth-check"  # for its log
        assert notes["helm.sh/hook-delete-policy"] == "before-hook-creation" + (",hook-succeeded" if not stays else "")
        order.setdefault(notes["helm.sh/hook"], []).append((int(notes["helm.sh/hook-weight"]), hook["kind"]))
    assert set(order) == {"pre-install,pre-upgrade", "pre-upgrade", "pre-delete"}
    for steps in order.values():
        kinds = [kind for _, kind in sorted(steps, key=lambda step: step[0])]
        assert kinds.index("RoleBinding") > kinds.index("Role")
        assert kinds[-1] == "Job"


@pytest.mark.release(twin="tests/envtest/cli/test_uninstall.py")
def test_after_an_uninstall_that_failed_berth_can_be_brought_back(installed: ApiServer, helm: Helm) -> None:
    """There are no nodes here, so the Job that ends leases never gets to run."""
    helm.install()
    replicas = ("get", "deployment/berth-api", "-n", NAMESPACE, "-o", "jsonpath={.spec.replicas}")
    revision = json.loads(helm("history", RELEASE, "-n", NAMESPACE, "-o", "json"))[-1]["revision"]
    with pytest.raises(ClusterError, match="timed out"):
        helm("uninstall", RELEASE, "-n", NAMESPACE, "--timeout=3s")
    installed.kubectl("scale", "deployment/berth-api", "-n", NAMESPACE, "--replicas=0")  # as the Job does
    helm("rollback", RELEASE, str(revision), "-n", NAMESPACE, "--no-hooks")
    assert installed.kubectl(*replicas) == "2"
    helm.install()


@pytest.mark.release(twin="tests/envtest/cli/test_uninstall.py")
def test_an_uninstall_keeps_kinds_namespaces_and_history(installed: ApiServer, helm: Helm) -> None:
    """The last test of this file: it installs again what it took away."""
    history = {
        "apiVersion": "berth.dev/v1alpha1",
        "kind": "WorkspaceDeployment",
        "metadata": {"name": "history", "namespace": WORKSPACES},
        "spec": {"type": "misty"},
    }
    installed.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(history))
    helm("uninstall", RELEASE, "-n", NAMESPACE, "--no-hooks", "--wait")
    assert "history" in installed.kubectl("get", "wd", "-n", WORKSPACES, "-o", "name")
    assert installed.kubectl("get", "namespace", ACCESS, "-o", "name")
    assert not installed.kubectl("get", "deployments,services,secrets", "-n", NAMESPACE, "-o", "name")
    assert "berth" not in installed.kubectl("get", "validatingadmissionpolicies,clusterroles", "-o", "name")
    helm.install()
    policies_hold(installed)
    assert "history" in installed.kubectl("get", "wd", "-n", WORKSPACES, "-o", "name")
