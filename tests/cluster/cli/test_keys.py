"""The keys of an installation, and the tokens that they sign."""

import asyncio
import hashlib
import json
from typing import Any

import jwt
import pytest

from berth_cluster.apiserver import ApiServer
from berth_cluster.testing import Namespaces

from .conftest import Run


def objects(apiserver: ApiServer, namespaces: Namespaces) -> dict[str, Any]:
    """What the Job makes, by name."""
    names = ("secret/berth-agent-ca", "secret/berth-token-signing", "configmap/berth-token-verification")
    listed = json.loads(apiserver.kubectl("get", *names, "-n", namespaces.release, "-o", "json"))
    return {obj["metadata"]["name"]: obj for obj in listed["items"]}


def published(apiserver: ApiServer, namespaces: Namespaces) -> jwt.PyJWKSet:
    data = objects(apiserver, namespaces)["berth-token-verification"]["data"]
    return jwt.PyJWKSet.from_dict(json.loads(data["jwks.json"]))


def test_the_job_makes_all_keys_and_never_again(apiserver: ApiServer, namespaces: Namespaces, keys_job: Run) -> None:
    assert keys_job().code == 0
    made = objects(apiserver, namespaces)
    assert len(made) == 3
    assert keys_job().code == 0
    assert objects(apiserver, namespaces) == made


async def test_jobs_that_run_at_once_agree(apiserver: ApiServer, namespaces: Namespaces, keys_job: Run) -> None:
    done = await asyncio.gather(*(asyncio.to_thread(keys_job) for _ in range(4)))
    assert [one.code for one in done] == [0] * 4
    made = objects(apiserver, namespaces)["berth-token-signing"]
    kid = made["metadata"]["annotations"]["berth.dev/active-kid"]
    assert list(made["data"]) == [f"{kid}.pem"]
    assert [key.key_id for key in published(apiserver, namespaces).keys] == [kid]


def test_what_was_lost_is_made_again_and_the_rest_kept(
    apiserver: ApiServer, namespaces: Namespaces, keys_job: Run
) -> None:
    keys_job()
    before = objects(apiserver, namespaces)
    apiserver.kubectl("delete", "configmap/berth-token-verification", "-n", namespaces.release)
    assert keys_job().code == 0
    after = objects(apiserver, namespaces)
    assert after["berth-token-signing"] == before["berth-token-signing"]
    assert after["berth-token-verification"]["data"] == before["berth-token-verification"]["data"]


def test_the_job_logs_no_secret(namespaces: Namespaces, keys_job: Run) -> None:
    done = keys_job()
    assert "PRIVATE" not in done.out + done.err
    assert all(json.loads(line)["event"] for line in done.out.splitlines())


def test_without_any_signing_key_the_job_says_what_to_do(
    apiserver: ApiServer, namespaces: Namespaces, keys_job: Run
) -> None:
    apiserver.kubectl("create", "secret", "generic", "berth-token-signing", "-n", namespaces.release)
    done = keys_job()
    assert done.code == 1
    assert "holds no <kid>.pem" in done.out


def test_a_token_is_alone_on_standard_output_and_verifies(
    apiserver: ApiServer, namespaces: Namespaces, keys_job: Run, berth: Run, release: list[str]
) -> None:
    keys_job()
    done = berth("token", "create", "--user", "alice", *release, "--expires", "1h")
    assert done.code == 0
    token = done.out.removesuffix("\n")
    assert done.err == f"sha256 {hashlib.sha256(token.encode()).hexdigest()}\n"
    key = published(apiserver, namespaces)[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(token, key.key, algorithms=["RS256"], audience="berth", issuer="berth")
    assert claims["sub"] == "alice"
    assert claims["exp"] - claims["iat"] == 3600


def test_every_option_is_in_the_token(keys_job: Run, berth: Run, release: list[str]) -> None:
    keys_job()
    instance = "0190b6f4-7c3a-7e21-8f6b-2d4c5a6b7c8d"
    words = ["--superuser", "--scope", "rw", "--scope", "ci", "--instance", instance, "--type", "a", "--type", "b"]
    words += ["--org", "lab", "--issuer", "me", "--audience", "you", "--expire-d", "600"]
    done = berth("token", "create", "--user", "alice", *release, *words)
    claims = jwt.decode(done.out.strip(), options={"verify_signature": False})
    expected = {"sub": "alice", "su": True, "sc": ["rw", "ci"], "in": instance, "wt": ["a", "b"], "org": "lab"}
    assert claims.items() >= (expected | {"iss": "me", "aud": "you", "opt": {"expire_d": 600}}).items()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--user", "alice", "--expires", "367d"], "at most 366 days"),
        (["--user", "alice", "--expires", "soon"], "such as 90s"),
        (["--user", "alice", "--instance", "misty-1"], "no instance id"),
        (["--user", ""], "printable"),
        ([], "--user"),
    ],
)
def test_wrong_wishes_are_wrong_usage(berth: Run, words: list[str], message: str) -> None:
    done = berth("token", "create", *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_no_installation_there(berth: Run, namespaces: Namespaces) -> None:
    done = berth("token", "create", "--user", "alice", "-n", namespaces.access)
    assert (done.code, done.out) == (4, "")
    assert f"no Secret berth-token-signing in namespace {namespaces.access}" in done.err
