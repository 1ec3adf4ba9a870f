"""etcd and the Kubernetes control plane: certificates, command lines, readiness."""

import json
import ssl
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from berth_dev.cluster import kubeconfig
from berth_dev.cluster.pki import Authority, Pair, service_account_key
from berth_dev.components import Toolbox
from berth_dev.errors import ClusterError
from berth_dev.ports import free_port
from berth_dev.processes import ProcessSpec

SERVICE_RANGE = "10.96.0.0/16"
KUBERNETES_SERVICE = "10.96.0.1"
POLL = 0.05


@dataclass(frozen=True)
class ControlPlaneOptions:
    """Addresses of the control plane, and whether etcd waits for the disk.

    `advertise` is the address that others reach the API server at; `durable` keeps etcd's
    fsync, which tests of a throwaway API server do without.
    """

    folder: Path
    advertise: str = "127.0.0.1"
    port: int = 0
    durable: bool = False
    audit_policy: Path | None = None
    """Where given, the API server writes `audit.log` to the folder."""
    flags: tuple[str, ...] = ()
    """Further flags of the API server, such as `feature-gates=DRADeviceTaints=false`."""


class ControlPlane:
    """The certificates, kubeconfig and process descriptions of one control plane in a folder."""

    def __init__(self, options: ControlPlaneOptions, tools: Toolbox) -> None:
        self.folder = options.folder
        self.options = options
        self.tools = tools
        self.port = options.port or free_port()
        self.url = f"https://{options.advertise}:{self.port}"
        self._etcd_client, self._etcd_peer = free_port(), free_port()
        self.authority = Authority(options.folder / "pki")
        self._accounts = service_account_key(options.folder / "pki")
        self._etcd_pair = self.authority.server("etcd", hosts=["127.0.0.1"])
        self._serving = self.authority.server(
            "kube-apiserver",
            hosts=[
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
                "localhost",
                KUBERNETES_SERVICE,
                *sorted({"127.0.0.1", options.advertise}),
            ],
        )
        self._front_proxy = self.authority.client("front-proxy-client", user="front-proxy-client")
        self._to_kubelet = self.authority.client(
            "kube-apiserver-kubelet", user="kube-apiserver", group="system:masters"
        )
        self.admin = self.authority.client("admin", user="berth-admin", group="system:masters")
        self.kubeconfig = self.kubeconfig_for("admin", self.admin)

    def kubeconfig_for(self, name: str, client: Pair) -> Path:
        """Write `<name>.kubeconfig` for a client certificate and answer its path."""
        return kubeconfig.write(
            self.folder / f"{name}.kubeconfig",
            server=self.url,
            authority=self.authority.pair.certificate,
            client=client,
        )

    def etcd(self) -> ProcessSpec:
        """The store: loopback only, client certificates required."""
        client = f"https://127.0.0.1:{self._etcd_client}"
        peer = f"http://127.0.0.1:{self._etcd_peer}"
        flags = {
            "name": "berth",
            "data-dir": self.folder / "etcd",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"berth={peer}",
            "cert-file": self._etcd_pair.certificate,
            "key-file": self._etcd_pair.key,
            "client-cert-auth": "true",
            "trusted-ca-file": self.authority.pair.certificate,
            "log-level": "warn",
        }
        if not self.options.durable:
            flags["unsafe-no-fsync"] = "true"
        return self._process("etcd", flags)

    def apiserver(self) -> ProcessSpec:
        """kube-apiserver with RBAC, the Node authorizer and the default admission plugins."""
        authority, etcd = self.authority.pair.certificate, self._etcd_pair
        flags = {
            "etcd-servers": f"https://127.0.0.1:{self._etcd_client}",
            "etcd-cafile": authority,
            "etcd-certfile": etcd.certificate,
            "etcd-keyfile": etcd.key,
            "bind-address": self.options.advertise,
            "advertise-address": self.options.advertise,
            "secure-port": self.port,
            "tls-cert-file": self._serving.certificate,
            "tls-private-key-file": self._serving.key,
            "client-ca-file": authority,
            "authorization-mode": "Node,RBAC",
            "enable-admission-plugins": "NodeRestriction",
            "service-cluster-ip-range": SERVICE_RANGE,
            "service-account-issuer": "https://kubernetes.default.svc.cluster.local",
            "service-account-key-file": self._accounts.certificate,
            "service-account-signing-key-file": self._accounts.key,
            "kubelet-client-certificate": self._to_kubelet.certificate,
            "kubelet-client-key": self._to_kubelet.key,
            "kubelet-certificate-authority": authority,
            "kubelet-preferred-address-types": "InternalIP",
            "requestheader-client-ca-file": authority,
            "requestheader-allowed-names": "front-proxy-client",
            "requestheader-username-headers": "X-Remote-User",
            "requestheader-group-headers": "X-Remote-Group",
            "requestheader-extra-headers-prefix": "X-Remote-Extra-",
            "proxy-client-cert-file": self._front_proxy.certificate,
            "proxy-client-key-file": self._front_proxy.key,
            "allow-privileged": "true",
            # An address on loopback may not be an endpoint of the kubernetes Service.
            "endpoint-reconciler-type": "none" if self.options.advertise.startswith("127.") else "lease",
        }
        if self.options.audit_policy is not None:
            flags |= {
                "audit-policy-file": self.options.audit_policy,
                "audit-log-path": self.folder / "audit.log",
                "audit-log-mode": "blocking",
            }
        flags |= dict(flag.split("=", 1) for flag in self.options.flags)
        return self._process("kube-apiserver", flags)

    def controller_manager(self) -> ProcessSpec:
        """kube-controller-manager: garbage collection, service accounts, endpoints, nodes."""
        user = "system:kube-controller-manager"
        config = self.kubeconfig_for("controller-manager", self.authority.client("controller-manager", user=user))
        flags = {
            **self._loopback(config),
            "use-service-account-credentials": "true",
            "service-account-private-key-file": self._accounts.key,
            "root-ca-file": self.authority.pair.certificate,
            "cluster-signing-cert-file": self.authority.pair.certificate,
            "cluster-signing-key-file": self.authority.pair.key,
            "service-cluster-ip-range": SERVICE_RANGE,
        }
        return self._process("kube-controller-manager", flags)

    def scheduler(self) -> ProcessSpec:
        """kube-scheduler."""
        config = self.kubeconfig_for("scheduler", self.authority.client("scheduler", user="system:kube-scheduler"))
        return self._process("kube-scheduler", self._loopback(config))

    def _loopback(self, config: Path) -> dict[str, object]:
        return {
            "kubeconfig": config,
            "authentication-kubeconfig": config,
            "authorization-kubeconfig": config,
            "bind-address": "127.0.0.1",
            "secure-port": free_port(),
            "leader-elect": "false",
        }

    def _process(self, program: str, flags: dict[str, object]) -> ProcessSpec:
        words = [f"--{name}={value}" for name, value in flags.items()]
        # Throwaway ones take more memory for fewer rounds of garbage collection.
        environment = {} if self.options.durable else {"GOGC": "300"}
        return ProcessSpec(name=program, command=(str(self.tools.path(program)), *words), environment=environment)

    def wait_ready(self, *, timeout: float) -> None:
        """Return when /readyz answers 200; raise ClusterError after `timeout` seconds."""
        context = ssl.create_default_context(cafile=str(self.authority.pair.certificate))
        context.load_cert_chain(self.admin.certificate, self.admin.key)
        deadline = time.monotonic() + timeout
        reply = "no answer"
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", context=context, timeout=5) as answer:  # noqa: S310 - our own https URL
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError as refused:
                reply = f"{refused.code} {refused.read().decode(errors='replace').strip()[-200:]}"
            except OSError as failed:
                reply = str(failed)
            time.sleep(POLL)
        raise ClusterError(
            f"kube-apiserver was not ready after {timeout:g} s ({json.dumps(reply)}): "
            f"see {self.folder / 'logs'}/kube-apiserver.log and etcd.log"
        )
