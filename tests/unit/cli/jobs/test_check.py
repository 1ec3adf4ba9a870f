"""The Job before upgrades: no answer of the cluster stops an upgrade, and a full history fits into its memory."""

import json
import os
import subprocess
import sys
import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from berth_cli.admin.doctor.summary import Held
from berth_cli.admin.doctor.validation import schema_of
from berth_core.kube.types import Object
from berth_core.resources import Instance

SPEC = {"user": "ada", "workspaceType": "arm", "sshKeys": ["ssh-ed25519 " + "A" * 200]}
FIELDS: Object = {"f:spec": {f"f:{number}": {} for number in range(60)}}


class Forgetful(BaseHTTPRequestHandler):
    """An API server that forgets the moment of every list."""

    def do_GET(self) -> None:
        body = json.dumps({"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}).encode()
        self.send_response(410)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_an_error_of_the_cluster_stops_no_upgrade(tmp_path: Path) -> None:
    config = tmp_path / "config"
    with ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        parts = {
            "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        }
        config.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", "current-context": "x"} | parts))
        done = subprocess.run(
            [sys.executable, "-m", "berth_cli.jobs.check"],
            env=os.environ | {"KUBECONFIG": str(config), "BERTH_WORKSPACE_NAMESPACES": "lab"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert "existing objects cannot be checked" in done.stdout


def ended(number: int) -> Object:
    """An Instance of somebody's history, whose labels look like Berth's, and whose user was too long to read."""
    entries = [{"manager": f"m{entry}", "fieldsV1": FIELDS} for entry in range(4)]
    metadata = {"name": f"i-{number}", "namespace": "lab", "labels": {"berth.dev/build": "b"}}
    return {"metadata": metadata | {"managedFields": entries}, "spec": SPEC | {"sshKeys": "k" * 10_000}}


def test_nothing_is_kept_of_what_was_looked_at_but_numbers_and_some_names() -> None:
    held, schema = Held(), schema_of(Instance)
    held.take(Instance, schema, ended(0))
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(1, 2000):
        held.take(Instance, schema, ended(number))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (held.unreadable.count, held.foreign.count, held.counts["lab", "instances"]) == (2000, 2000, 2000)
    assert after - before < 256 * 1024
