"""The keys of an installation, and the tokens that they sign."""

import asyncio
import base64
import hashlib
import json
from typing import Any

import jwt
import pytest

from berth_core.keys import webhooks
from berth_dev.envtest.apiserver import ApiServer
from berth_dev.envtest.testing import Namespaces

from .conftest import Run


def objects(apiserver: ApiServer, namespaces: Namespaces) -> dict[str, Any]:
    """Objects that the Job makes, by name."""
    secrets = ("secret/berth-agent-ca", "secret/berth-token-signing", "secret/berth-webhook-signing")
    published = ("configmap/berth-token-verification", "configmap/berth-webhook-key")
    listed = json.loads(apiserver.kubectl("get", *secrets, *published, "-n", namespaces.release, "-o", "json"))
    return {obj["metadata"]["name"]: obj for obj in listed["items"]}


def published(apiserver: ApiServer, namespaces: Namespaces) -> jwt.PyJWKSet:
    data = objects(apiserver, namespaces)["berth-token-verification"]["data"]
    return jwt.PyJWKSet.from_dict(json.loads(data["jwks.json"]))


def webhook_part(apiserver: ApiServer, namespaces: Namespaces, key: str) -> bytes:
    return base64.b64decode(objects(apiserver, namespaces)["berth-webhook-signing"]["data"][key])


def webhook_key(apiserver: ApiServer, namespaces: Namespaces) -> str:
    return str(objects(apiserver, namespaces)["berth-webhook-key"]["data"]["public-key"])


def test_the_job_makes_all_keys_and_never_again(apiserver: ApiServer, namespaces: Namespaces, keys_job: Run) -> None:
    assert keys_job().code == 0
    made = objects(apiserver, namespaces)
    assert len(made) == 5
    assert keys_job().code == 0
    assert objects(apiserver, namespaces) == made


async def test_jobs_that_run_at_once_agree(apiserver: ApiServer, namespaces: Namespaces, keys_job: Run) -> None:
    done = await asyncio.gather(*(asyncio.to_thread(keys_job) for _ in range(4)))
    assert [one.code for one in done] == [0] * 4
    made = objects(apiserver, namespaces)["berth-token-signing"]
    kid = made["metadata"]["annotations"]["berth.dev/active-kid"]
    assert list(made["data"]) == [f"{kid}.pem"]
    assert [key.key_id for key in published(apiserver, namespaces).keys] == [kid]
    assert webhook_key(apiserver, namespaces) == webhooks.public_key(webhook_part(apiserver, namespaces, "ed25519.pem"))


def test_what_was_lost_is_made_again_and_the_rest_kept(
    apiserver: ApiServer, namespaces: Namespaces, keys_job: Run
) -> None:
    keys_job()
    before = objects(apiserver, namespaces)
    apiserver.kubectl("delete", "cm/berth-token-verification", "cm/berth-webhook-key", "-n", namespaces.release)
    assert keys_job().code == 0
    after = objects(apiserver, namespaces)
    assert after["berth-token-signing"] == before["berth-token-signing"]
    assert after["berth-token-verification"]["data"] == before["berth-token-verification"]["data"]
    assert after["berth-webhook-signing"] == before["berth-webhook-signing"]
    assert after["berth-webhook-key"]["data"] == before["berth-webhook-key"]["data"]


def test_new_keys_of_webhooks_are_published(apiserver: ApiServer, namespaces: Namespaces, keys_job: Run) -> None:
    keys_job()
    before = webhook_key(apiserver, namespaces)
    apiserver.kubectl("delete", "secret/berth-webhook-signing", "-n", namespaces.release)
    assert keys_job().code == 0
    after = webhook_key(apiserver, namespaces)
    assert before != after == webhooks.public_key(webhook_part(apiserver, namespaces, "ed25519.pem"))


def test_without_usable_keys_of_webhooks_the_job_says_what_to_do(
    apiserver: ApiServer, namespaces: Namespaces, keys_job: Run
) -> None:
    words = ("create", "secret", "generic", "berth-webhook-signing", "-n", namespaces.release)
    apiserver.kubectl(*words, "--from-literal=master=m", "--from-literal=ed25519.pem=none")
    done = keys_job()
    assert done.code == 1
    assert "no key that can be used under ed25519.pem" in done.out


def test_a_users_webhook_secret_is_alone_on_standard_output(
    apiserver: ApiServer, namespaces: Namespaces, keys_job: Run, berth: Run
) -> None:
    keys_job()
    master = webhook_part(apiserver, namespaces, "master")
    assert len(master) == 32
    done = berth("webhook", "secret", "alice", "-n", namespaces.release)
    assert (done.code, done.err) == (0, "")
    assert done.out == webhooks.user_secret(master, "alice") + "\n"
    assert berth("webhook", "secret", "", "-n", namespaces.release).code == 2
    nowhere = berth("webhook", "secret", "alice", "-n", namespaces.access)
    assert (nowhere.code, nowhere.out) == (4, "")
    assert f"no Secret berth-webhook-signing in namespace {namespaces.access}" in nowhere.err


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
