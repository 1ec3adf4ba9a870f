"""One replica of the API as a process of its own, and tokens that it accepts."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import jwt
from bench.process import Process
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from berth_dev.envtest.testing import Namespaces
from berth_dev.ports import free_port

START_SECONDS: Final = 120


@dataclass(frozen=True)
class Replica(Process):
    """A running replica and how long its start took, in seconds."""

    url: str
    started: float


class Signer:
    """A signing key; its public half is in ``folder/jwks.json``."""

    def __init__(self, folder: Path) -> None:
        self._key = rsa.generate_private_key(65537, 2048)
        self.jwks = folder / "jwks.json"
        jwk = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        self.jwks.write_text(json.dumps({"keys": [jwk | {"kid": "bench", "use": "sig", "alg": "RS256"}]}))

    def token(self, user: str) -> str:
        """Return a token of the user's, valid for a day."""
        now = int(time.time())
        claims = {"sub": user, "iss": "berth", "aud": "berth", "iat": now, "exp": now + 86400}
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": "bench"})


def environment(kubeconfig: Path, namespaces: Namespaces, jwks: Path) -> dict[str, str]:
    """Environment of a replica on loopback with limits on requests too high to matter."""
    return os.environ | {
        "KUBECONFIG": str(kubeconfig),
        "BERTH_NAMESPACE": namespaces.release,
        "BERTH_WORKSPACE_NAMESPACES": namespaces.workspaces,
        "BERTH_ACCESS_NAMESPACE": namespaces.access,
        "BERTH_JWKS_FILE": str(jwks),
        "BERTH_RATE_LIMIT_PER_TOKEN": "1000000",
        "BERTH_RATE_LIMIT_PER_PEER": "1000000",
        "BERTH_IDEMPOTENCY_KEYS_PER_USER": "1000000",
        "BERTH_LISTEN": f"127.0.0.1:{free_port()}",
        "BERTH_METRICS_LISTEN": f"127.0.0.1:{free_port()}",
    }


@contextmanager
def running(settings: dict[str, str], log: Path) -> Iterator[Replica]:
    """Run a replica; it is ready once ``/readyz`` answers 200."""
    begun = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "berth_api"], env=settings, stdout=output, stderr=output)
    url = f"http://{settings['BERTH_LISTEN']}"
    try:
        _wait_ready(url, process, log, begun)
        yield Replica(process.pid, url, time.monotonic() - begun)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_ready(url: str, process: "subprocess.Popen[bytes]", log: Path, begun: float) -> None:
    while process.poll() is None and time.monotonic() - begun < START_SECONDS:
        try:
            if httpx.get(f"{url}/readyz", timeout=START_SECONDS).status_code == 200:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        time.sleep(0.02)
    raise RuntimeError(f"the API did not become ready; the end of its log:\n{log.read_text()[-2000:]}")
