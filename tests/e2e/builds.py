"""Projects and Builds as people make them with kubectl, and what comes of them."""

import base64
import gzip
import json
import uuid
from dataclasses import dataclass
from typing import Any

from lab import NAMESPACE, Lab

from berth_core import builds
from berth_core.resources import Build

IMAGE = "localhost/berth-ci:dev"
"""It has sh, git and ssh: a script's image like any other."""


def recipe(*commands: str, **more: object) -> dict[str, str]:
    """A .berth.yml with these commands."""
    return {".berth.yml": json.dumps({"image": IMAGE, "script": list(commands), **more}, indent=1)}


@dataclass(frozen=True)
class Builds:
    """Somebody's builds in the lab."""

    lab: Lab

    def project(self, url: str, user: str = "ada", credentials: str = "") -> str:
        """Make a Project; its name."""
        name = f"p-{uuid.uuid4().hex[:10]}"
        spec: dict[str, Any] = {"name": name, "user": user, "repoURL": url}
        if credentials:
            spec["credentials"] = {"secret": credentials}
        self._apply(self._object("Project", name, spec))
        return name

    def start(self, project: str, user: str = "ada", **spec: Any) -> str:
        """Make a Build; its name."""
        (name,) = self.start_many([(project, user)], **spec)
        return name

    def start_many(self, wanted: list[tuple[str, str]], **spec: Any) -> list[str]:
        """Make a Build for each project and user at once; their names."""
        revision = spec or {"branch": "main"}
        made = [
            self._object("Build", f"b-{uuid.uuid4().hex[:10]}", {"project": project, "user": user, **revision})
            for project, user in wanted
        ]
        self._apply({"apiVersion": "v1", "kind": "List", "items": made})
        return [one["metadata"]["name"] for one in made]

    def secret(self, **content: str) -> str:
        """Make a Secret; its name."""
        name = f"s-{uuid.uuid4().hex[:10]}"
        fields = {key.replace("_", "-") if key == "ssh_privatekey" else key: value for key, value in content.items()}
        if "ca_crt" in fields:
            fields["ca.crt"] = fields.pop("ca_crt")
        metadata = {"name": name, "namespace": NAMESPACE}
        self._apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": fields})
        return name

    def ended(self, build: str, seconds: int = 90) -> Build:
        """Wait for the end of a build."""
        self.lab.wait(f"build/{build}", "condition=Ended", seconds)
        return self.get(build)

    def get(self, build: str) -> Build:
        return Build.parse(self.lab.get("build", build))

    def patch(self, build: str, **spec: Any) -> None:
        body = json.dumps({"spec": spec})
        self.lab.kubectl("patch", "build", build, "-n", NAMESPACE, "--type=merge", "-p", body)

    def log(self, build: Build) -> str:
        """The log as it was kept."""
        return gzip.decompress(self._content(build.status.log or [])).decode()

    def artifacts(self, build: Build) -> bytes:
        """The tarball as it was kept."""
        assert build.status.artifacts is not None, build.status
        return self._content(build.status.artifacts.config_maps)

    def leftovers(self, build: Build) -> list[str]:
        """Objects with the build's label that should be gone."""
        selector = f"berth.dev/build={build.public_id}"
        printed = self.lab.kubectl(
            "get", "jobs,pods,secrets,networkpolicies", "-n", NAMESPACE, "-l", selector, "-o", "name"
        )
        return printed.split()

    def instance(self, build: Build) -> Any:
        """The Instance that a build had."""
        assert build.status.instance is not None, build.status
        return self.lab.get("instance", build.status.instance)

    def _content(self, config_maps: list[str]) -> bytes:
        parts = [self.lab.get("configmap", name)["binaryData"]["part"] for name in config_maps]
        return b"".join(map(base64.b64decode, parts))

    def _object(self, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        metadata = {"name": name, "namespace": NAMESPACE}
        return {"apiVersion": "berth.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}

    def _apply(self, body: dict[str, Any]) -> None:
        self.lab.kubectl("create", "-f", "-", stdin=json.dumps(body))


def summary(build: Build) -> tuple[str, str, str]:
    """Word, reason and message."""
    return builds.word(build), build.status.reason or "", build.status.message or ""
