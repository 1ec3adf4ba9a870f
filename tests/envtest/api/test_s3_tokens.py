"""Contract §3: which tokens count, and what they open."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import hashes, hmac, serialization

from .conftest import Setting, user_client
from .process import Api
from .signing import Signer, part, write_keys
from .world import World, eventually

pytestmark = pytest.mark.apiserver

WRONG = {"error_message": "wrong authorization token"}
DAY = 86400
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def now() -> int:
    return int(time.time())


def unsigned(signer: Signer) -> str:
    return f"{part({'alg': 'none', 'kid': signer.kid})}.{signer.token().split('.')[1]}."


def signed_with_the_public_key_as_secret(signer: Signer) -> str:
    public = signer.key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    text = f"{part({'alg': 'HS256', 'kid': signer.kid})}.{signer.token().split('.')[1]}"
    mac = hmac.HMAC(public, hashes.SHA256())
    mac.update(text.encode())
    return f"{text}.{part(mac.finalize())}"


def with_its_own_key(_: Signer) -> str:
    forger = Signer()
    return forger.token(header={"jwk": forger.jwk()})


def another_spelling(signer: Signer) -> str:
    """The same bytes, with bits set that decoding drops: the 256 bytes of a signature leave 4 of them."""
    token = signer.token()
    last = ALPHABET[ALPHABET.index(token[-1]) ^ 1]
    respelt = token[:-1] + last
    assert base64.urlsafe_b64decode(respelt.split(".")[2] + "==") == base64.urlsafe_b64decode(
        token.split(".")[2] + "=="
    )
    return respelt


def tampered(signer: Signer) -> str:
    header, payload, signature = signer.token().split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return f"{header}.{part(claims | {'su': True})}.{signature}"


FORGERIES: dict[str, Callable[[Signer], str]] = {
    "no signature": unsigned,
    "HS256 with the public key": signed_with_the_public_key_as_secret,
    "RS512": lambda s: jwt.encode(
        {"sub": "alice", "iss": "berth", "aud": "berth", "exp": now() + 60}, s.key, "RS512", {"kid": s.kid}
    ),
    "its own jwk": with_its_own_key,
    "its own jku": lambda s: s.token(header={"jku": "https://evil.example.test/jwks"}),
    "crit": lambda s: s.token(header={"crit": ["exp"]}),
    "another key": lambda s: Signer(kid=s.kid).token(),
    "unknown kid": lambda s: s.token(header={"kid": "two"}),
    "no kid": lambda s: jwt.encode({"sub": "alice", "iss": "berth", "aud": "berth", "exp": now() + 60}, s.key, "RS256"),
    "tampered": tampered,
    "another spelling": another_spelling,
    "padded": lambda s: s.token() + "=",
    "two parts": lambda s: s.token().rpartition(".")[0],
    "four parts": lambda s: s.token() + ".AAAA",
    "claims are no object": lambda s: jwt.PyJWS().encode(b"[]", s.key, "RS256", {"kid": s.kid}),
    "oversize": lambda s: s.token(padding="x" * 9000),
    "expired": lambda s: s.token(exp=now() - 1),
    "no exp": lambda s: s.token(exp=None),
    "exp beyond 366 days": lambda s: s.token(exp=now() + 367 * DAY),
    "exp is text": lambda s: s.token(exp=str(now() + 60)),
    "nbf ahead": lambda s: s.token(nbf=now() + 60),
    "iat ahead": lambda s: s.token(iat=now() + 60),
    "another issuer": lambda s: s.token(iss="elsewhere"),
    "no issuer": lambda s: s.token(iss=None),
    "another audience": lambda s: s.token(aud="elsewhere"),
    "no audience": lambda s: s.token(aud=None),
    "no user": lambda s: s.token(None),
    "empty user": lambda s: s.token(""),
    "user with control characters": lambda s: s.token("alice\n"),
    "su is no boolean": lambda s: s.token(su="true"),
    "in is no id": lambda s: s.token(**{"in": "x"}),
    "sc is no list": lambda s: s.token(sc={"rw": True}),
    "wt is no list": lambda s: s.token(wt=[1]),
    "opt.expire_d is no number": lambda s: s.token(opt={"expire_d": "60"}),
}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES.keys())
async def test_a_token_that_does_not_count(
    http: httpx.AsyncClient, signer: Signer, forgery: Callable[[Signer], str]
) -> None:
    headers = {"Authorization": f"Bearer {forgery(signer)}"}
    answer = await http.get("/instances", headers=headers)
    assert answer.status_code == 400
    assert answer.json() == WRONG
    assert (await http.get("/deployments", headers=headers)).status_code == 200


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YWxpY2U6eA==", "{token}", "Bearer {token} x"])
async def test_a_header_that_holds_no_token(http: httpx.AsyncClient, signer: Signer, header: str | None) -> None:
    headers = {"Authorization": header.format(token=signer.token())} if header is not None else {}
    answer = await http.get("/instances", headers=headers)
    assert answer.status_code == 400
    assert answer.json() == WRONG


async def test_two_authorization_headers_are_none(http: httpx.AsyncClient, signer: Signer) -> None:
    header = ("Authorization", f"Bearer {signer.token()}")
    assert (await http.get("/instances", headers=[header, header])).json() == WRONG


@pytest.mark.parametrize(
    "claims",
    [{}, {"nbf": 1}, {"aud": ["other", "berth"]}, {"exp": now() + 366 * DAY - 60}, {"org": "lab"}, {"sc": ["r", "rw"]}],
)
async def test_a_token_that_counts(api: Api, signer: Signer, claims: dict[str, Any]) -> None:
    async with user_client(api, signer.token(**claims)) as client:
        assert (await client.get("/instances")).status_code == 200


@pytest.mark.release(twin="tests/envtest/api/test_s3_tokens.py::test_a_token_that_does_not_count")
async def test_a_token_stops_counting_when_it_expires(api: Api, signer: Signer) -> None:
    async with user_client(api, signer.token(exp=now() + 8)) as client:
        assert (await client.get("/instances")).status_code == 200

        async def refused() -> bool:
            return bool((await client.get("/instances")).json() == WRONG)

        await eventually(refused)


async def test_keys_are_rotated_without_a_restart(setting: Setting, api: Api, signer: Signer) -> None:
    successor = Signer(kid="successor")
    async with user_client(api, successor.token()) as client:
        assert (await client.get("/instances")).status_code == 400
        write_keys(setting.jwks, signer, successor)

        async def accepted() -> bool:
            return (await client.get("/instances")).status_code == 200

        await eventually(accepted)
        write_keys(setting.jwks, signer)

        async def refused() -> bool:
            return bool((await client.get("/instances")).json() == WRONG)

        await eventually(refused)


async def test_a_read_only_token_changes_nothing(
    api: Api, world: World, signer: Signer, alice: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=2)
    instance = (await alice.post(f"/new/{kind}")).json()["id"]
    async with user_client(api, signer.token("alice", sc=["r"])) as reader:
        assert (await reader.get(f"/instance/{instance}")).status_code == 200
        for method, path, word in (
            ("POST", f"/new/{kind}", "instantiation"),
            ("POST", f"/terminate/{instance}", "termination"),
            ("POST", f"/firewall/{instance}", "change"),
            ("DELETE", f"/firewall/{instance}", "change"),
        ):
            answer = await reader.request(method, path)
            assert answer.status_code == 400
            assert answer.json()["error_message"] == f"token scope does not permit {word}"


async def test_an_instance_token_works_for_its_instance_only(
    api: Api, world: World, signer: Signer, alice: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=2)
    own, other = [(await alice.post(f"/new/{kind}")).json()["id"] for _ in range(2)]
    constrained = "token already constrained to another instance"
    async with user_client(api, signer.token("friend", **{"in": own})) as friend:
        assert (await friend.get(f"/instance/{own}")).status_code == 200
        assert (await friend.get(f"/instance/{own}/sshkey")).status_code == 200
        assert (await friend.get(f"/deployments/{kind}")).status_code == 200
        for method, path in (
            ("GET", f"/instance/{other}"),
            ("POST", f"/terminate/{other}"),
            ("GET", f"/firewall/{other}"),
            ("GET", "/instances"),
            ("POST", f"/new/{kind}"),
        ):
            answer = await friend.request(method, path)
            assert answer.status_code == 400
            assert answer.json()["error_message"] == constrained
        assert (await friend.post(f"/terminate/{own}")).status_code == 200


async def test_a_token_for_types_and_times_instantiates_only_those(api: Api, world: World, signer: Signer) -> None:
    kind, other = await world.type(deployments=2), await world.type()
    deployment = await world.deployment(other)
    async with user_client(api, signer.token("carol", wt=[kind], opt={"expire_d": 300})) as carol:
        for path, body in ((f"/new/{other}", {}), (f"/new/{deployment}", {}), ("/new", {"wds": [deployment]})):
            answer = await carol.post(path, json=body)
            assert answer.status_code == 400
            assert answer.json()["error"].startswith("token scope does not permit instantiation")
        assert (await carol.post(f"/new/{kind}", json={"expire_d": 301})).status_code == 400
        made = [(await carol.post(f"/new/{kind}", json=body)).json()["id"] for body in ({"expire_d": 300}, {})]
    resources = await asyncio.gather(*(world.instance_resource(instance) for instance in made))
    assert [r.spec.expire_after for r in resources] == [300, 300]


async def test_a_users_name_adds_no_terms_to_selectors(
    api: Api, world: World, signer: Signer, alice: httpx.AsyncClient
) -> None:
    kind = await world.type(deployments=2)
    await alice.post(f"/new/{kind}")
    for name in ("x,spec.user=alice", "=alice", "a\\,b", "!=x", "alice,", "a%2Cb&limit=1"):
        async with user_client(api, signer.token(name)) as odd:
            assert (await odd.get("/instances")).json()["workspace_instances"] == []
    async with user_client(api, signer.token("a,b=c\\d é")) as odd:
        made = (await odd.post(f"/new/{kind}")).json()["id"]
        assert (await odd.get("/instances")).json()["workspace_instances"] == [made]
