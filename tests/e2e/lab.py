"""People in a lab: each has a token, a key pair, and an address outside of the cluster."""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from berth_dev.cluster import install

NAMESPACE = "berth-workspaces"
DEPLOYMENT_TYPE = "fixed_misty2"
"""The samples have two deployments of it."""
PROBE = Path(__file__).with_name("probe.py")


@dataclass(frozen=True)
class Answer:
    """An HTTP answer as curl saw it."""

    status: int
    text: str

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.text)


@dataclass(frozen=True)
class Lab:
    """The cluster with Berth: where it is, and its administrator's tools."""

    kubeconfig: Path
    kubectl_program: Path
    helm_program: Path
    berth_program: Path
    python: Path
    apis: tuple[str, ...]
    """Base URLs: one for each node, so for each replica of the API."""

    def kubectl(self, *words: str, stdin: str = "", check: bool = True, deadline: float = 120) -> str:
        """Run kubectl as the administrator and return what it printed."""
        done = subprocess.run(
            [str(self.kubectl_program), f"--kubeconfig={self.kubeconfig}", *words],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
        )
        assert not check or done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout if done.returncode == 0 else done.stdout + done.stderr

    def get(self, kind: str, name: str, namespace: str = NAMESPACE) -> Any:
        """Read one object."""
        return json.loads(self.kubectl("get", kind, name, "-n", namespace, "-o", "json"))

    def objects(self, kind: str, selector: str = "", namespace: str = NAMESPACE) -> list[Any]:
        """Read the objects that a label selector matches."""
        words = ["get", kind, "-n", namespace, "-o", "json", *(["-l", selector] if selector else [])]
        return list(json.loads(self.kubectl(*words))["items"])

    def wait(self, what: str, condition: str, seconds: int = 30, namespace: str = NAMESPACE) -> None:
        """Wait on a watch until an object is as wanted, such as ``instance/x`` and ``condition=Ready``."""
        self.kubectl(
            "wait", what, "-n", namespace, f"--for={condition}", f"--timeout={seconds}s", deadline=seconds + 30
        )

    def readiness(self, instance: str) -> Any:
        """Return what an instance says of Ready."""
        conditions = self.get("instance", instance)["status"]["conditions"]
        return next(one for one in conditions if one["type"] == "Ready")

    def wait_again(self, instance: str, before: Any, seconds: float = 90) -> None:
        """Wait until an instance that was Ready ``before`` has ceased to be so, and is so again.

        Waits one after the other may come too late for the first.
        """
        until, since = time.monotonic() + seconds, before["lastTransitionTime"]
        while (now := self.readiness(instance))["status"] != "True" or now["lastTransitionTime"] == since:
            assert time.monotonic() < until, f"instance/{instance} is not Ready again: {now}"

    def berth(self, *words: str, stdin: str = "") -> str:
        """Run Berth's command line as the administrator and return what it printed."""
        done = subprocess.run(
            [str(self.berth_program), *words, "--kubeconfig", str(self.kubeconfig)],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"berth {' '.join(words)}: {done.stderr}"
        return done.stdout.strip()

    def token(self, user: str, *options: str) -> str:
        """Make a token as the administrator does."""
        return self.berth("token", "create", "--user", user, *options)

    def person(self, name: str, client: str, folder: Path, *options: str) -> "Person":
        """Let somebody in at an outside client's network namespace, with a token and a new key pair."""
        key = folder / f"{name}-key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)], check=True)
        return Person(self, name, client, self.token(name, *options), key)

    def makes_type(self, name: str, template: Mapping[str, object], **spec: object) -> str:
        """Make a type with one deployment of the same name, and wait until it can be had; returns that name."""
        resource = name.replace("_", "-")
        metadata = {"name": resource, "namespace": NAMESPACE}
        parts = {
            "WorkspaceType": {"typeName": name, "template": template, **spec},
            "WorkspaceDeployment": {"type": name},
        }
        objects = [
            {"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": part}
            for kind, part in parts.items()
        ]
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        self.wait(f"wd/{resource}", "condition=Available")
        return resource

    def leftovers(self, instance: str) -> list[str]:
        """Everything in the cluster that still carries an instance's label."""
        kinds = "pods,services,secrets,networkpolicies"
        found: list[str] = []
        for namespace in (NAMESPACE, "berth-access"):
            printed = self.kubectl("get", kinds, "-n", namespace, "-l", f"berth.dev/instance={instance}", "-o", "name")
            found += printed.split()
        return found


@dataclass(frozen=True)
class Person:
    """Somebody outside of the cluster."""

    lab: Lab
    name: str
    client: str
    token: str
    key: Path
    api: int = field(default=0)
    """Which of the lab's API addresses this person asks."""

    def inside(self, command: Sequence[str]) -> list[str]:
        """Return the command as it runs at this person's address."""
        return ["nsenter", f"--net=/run/netns/{self.client}", *command]

    def run(self, command: Sequence[str], deadline: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a command at this person's address."""
        return subprocess.run(
            self.inside(command),
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def asks(self, method: str, path: str, body: Any = None, *headers: str) -> Answer:
        """Send a request as public clients do: JSON as plain data, whatever content type curl gives it."""
        command = [
            "curl",
            "-sS",
            "--max-time",
            "30",
            "-X",
            method,
            "-w",
            "\n%{http_code}",
            # Alone: many clients at once take longer to read the system's, too, than the API waits for a handshake.
            "--cacert",
            str(install.TLS_FOLDER / "ca.crt"),
            self.lab.apis[self.api] + path,
        ]
        if self.token:
            command += ["-H", f"Authorization: Bearer {self.token}"]
        command += [word for header in headers for word in ("-H", header)]
        if body is not None:
            command += ["--data-binary", json.dumps(body)]
        done = self.run(command)
        assert done.returncode == 0, done.stderr
        text, _, status = done.stdout.rpartition("\n")
        return Answer(int(status), text)

    def address(self) -> str:
        """Return this person's address, as nodes see it; that on lo is for what pods reach."""
        shown = self.run(["ip", "-4", "-o", "addr", "show", "dev", "eth0"]).stdout.split()
        return shown[shown.index("inet") + 1].split("/")[0]

    def sees_free(self) -> str:
        """Return the id of a deployment that can be had."""
        listed = self.asks("GET", f"/deployments/{DEPLOYMENT_TYPE}?maxlen=0").json["workspace_deployments"]
        assert listed, "the samples have no free deployment"
        return str(listed[0])

    def public_key(self) -> str:
        """Return the public key, in OpenSSH's form."""
        return self.key.with_suffix(".pub").read_text().strip()

    def takes(self, what: str, **options: Any) -> str:
        """Ask for an instance of a type or deployment, wait until it is READY, and return its id."""
        made = self.asks("POST", f"/new/{what}", {"sshkey": self.public_key(), **options})
        assert made.status == 200, made.text
        instance: str = made.json["id"]
        self.lab.wait(f"instance/{instance}", "condition=Ready")
        return instance

    def ssh(self, info: Any, *command: str, key: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the workspace, with strict checking of the announced host keys."""
        return self.run(self._ssh(info, *command, key=key))

    def ssh_command(self, info: Any, *command: str) -> list[str]:
        """Return the whole command that :meth:`ssh` would run."""
        return self.inside(self._ssh(info, *command))

    def _ssh(self, info: Any, *command: str, key: Path | None = None) -> list[str]:
        host, port = info["fwd"]["ipv4"], info["fwd"]["port"]
        known = self.key.with_name(f"{self.name}-known-hosts")
        where = host if port == 22 else f"[{host}]:{port}"
        known.write_text("".join(f"{where} {line}\n" for line in info["hostkeys"]))
        options = (
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={known}",
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "ConnectTimeout=3",
        )
        words = ["ssh", "-F", "none", "-i", str(key or self.key), "-p", str(port)]
        words += [word for option in options for word in ("-o", option)]
        return [*words, f"root@{host}", *command]

    def probe(self, info: Any, wanted: str, seconds: float = 5.0) -> float:
        """Seconds until a TCP connection to the workspace is ``open``, ``shut`` or ``refused`` and stays so."""
        host, port = info["fwd"]["ipv4"], str(info["fwd"]["port"])
        done = self.run([str(self.lab.python), str(PROBE), host, port, wanted, str(seconds)], deadline=seconds + 30)
        assert done.returncode == 0, done.stdout + done.stderr
        return float(done.stdout)

    def ends(self, instance: str, seconds: int = 30) -> None:
        """Terminate an instance and wait until it has ended."""
        answer = self.asks("POST", f"/terminate/{instance}")
        assert answer.status == 200, answer.text
        self.lab.wait(f"instance/{instance}", "condition=Ended", seconds)
